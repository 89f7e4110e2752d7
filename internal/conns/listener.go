package conns

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Options set up a [Listener].
type Options struct {
	Limit     int            // connections at a time; at least 1
	Exempt    []netip.Prefix // addresses that are not held to the share of one address: proxies with many clients
	TLS       *tls.Config    // nil: plain HTTP
	Handshake time.Duration  // bound on a TLS handshake; 0: 10 s
	Rest      time.Duration  // how long an HTTP/1 connection without a request keeps the server's memory; 0: 1 s

	// Changed is called when a trouble begins and when it is over, at most once each for
	// a stretch of it. It must not wait. Nil: nothing is called.
	Changed func(Change)

	// Refuse returns the answer to a request that net/http refuses by itself, in the
	// place of net/http's own: a whole HTTP/1.1 message, after which the connection is
	// closed. Requests of HTTP/2 are not among them. Many goroutines call it; it must not
	// wait. Nil, or no answer: net/http's own.
	Refuse func(Refusal) []byte

	// Failed is called with the error of each TLS handshake that came to nothing. Many
	// goroutines call it; it must not wait. Nil: nothing is called.
	Failed func(remote net.Addr, err error)
}

// Counts are a listener's numbers. Those that are not of this moment are since the
// start.
type Counts struct {
	Limit      int
	Idle, Busy int // connections that are open: without a request, and with one
	ClosedIdle int64
	ClosedBusy int64 // connections closed for another one
	Refused    int64 // new connections closed because there was no room
	Failed     int64 // times that the system gave no connection
	Handshakes int64 // TLS handshakes that came to nothing
}

// Listener is a [net.Listener] that bounds how many connections are open. Its
// connections are for the one [http.Server] that it is attached to: those of HTTP/2 are
// *tls.Conn with a complete handshake. It is safe for concurrent use.
type Listener struct {
	net.Listener
	o     Options
	table *table
	ready chan net.Conn
	fatal chan error // holds one
	done  chan struct{}
	close func() error
	once  sync.Once
	full  spell
	fails spell
}

// handshake bounds a TLS handshake where nothing else is set.
const handshake = 10 * time.Second

// New returns a Listener for what inner accepts. The first Accept starts its work, and
// Close ends it and the connections that rest; TLS handshakes that are under way end
// within their bound.
func New(inner net.Listener, o Options) *Listener {
	o.Handshake, o.Rest = cmp.Or(o.Handshake, handshake), cmp.Or(o.Rest, restAfter)
	l := &Listener{
		Listener: inner, o: o, table: newTable(max(1, o.Limit)),
		ready: make(chan net.Conn), fatal: make(chan error, 1), done: make(chan struct{}),
	}
	l.close = sync.OnceValue(func() error {
		close(l.done)
		l.table.wake()
		return inner.Close()
	})
	return l
}

// Close implements [net.Listener].
func (l *Listener) Close() error { return l.close() }

// Counts returns the listener's numbers.
func (l *Listener) Counts() Counts { return l.table.count() }

// Accept implements [net.Listener]. Errors of the system that pass by themselves are
// waited out.
func (l *Listener) Accept() (net.Conn, error) {
	l.once.Do(func() { go l.accept() }) // ends with Close
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.fatal:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// accept takes connections from the system until the listener is closed.
func (l *Listener) accept() {
	wait := time.Duration(0)
	for {
		raw, err := l.Listener.Accept()
		switch {
		case err == nil:
			wait = 0
			l.admit(raw)
		case l.closed() || !passing(err):
			l.fatal <- err
			return
		default:
			wait = l.failed(err, wait)
		}
	}
}

// closed reports whether Close was called.
func (l *Listener) closed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// passing reports whether the system may give connections again after err: it had no
// descriptors or memory, or the client had gone.
func passing(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.EINTR,
	}, func(target error) bool { return errors.Is(err, target) })
}

// The waits between two attempts to accept.
const (
	shortestWait = 5 * time.Millisecond
	longestWait  = time.Second
)

// failed takes note that the system gave no connection. It closes an idle connection
// where descriptors are what is missing, waits, and returns how long it did.
func (l *Listener) failed(err error, before time.Duration) time.Duration {
	l.table.add(func(n *Counts) { n.Failed++ })
	l.trouble(&l.fails, Failing, err.Error())
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		if c := l.table.oldest(); c != nil {
			_ = c.Conn.Close() // the client must connect again in any case
		}
	}
	wait := min(max(shortestWait, 2*before), longestWait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.done:
	}
	return wait
}

// trouble takes note that a trouble happened once more.
func (l *Listener) trouble(s *spell, what Trouble, cause string) {
	if s.happened(time.Now(), cause) && l.o.Changed != nil {
		l.o.Changed(Change{Trouble: what, Times: 1, Cause: cause})
	}
}

// admit counts a new connection, and hands it on unless there is no room for it.
func (l *Listener) admit(raw net.Conn) {
	c := &Conn{Conn: raw, table: l.table}
	c.address = l.address(raw.RemoteAddr())
	if closed := l.table.enter(c); closed != nil {
		l.trouble(&l.full, Full, "")
		_ = closed.Conn.Close() // net/http notices; the client must connect again in any case
		if closed == c {
			return
		}
	}
	if l.o.TLS != nil {
		go l.secure(c) // ends with the handshake, which is bounded
		return
	}
	l.hand(newStream(l, c, nil), c)
}

// hand gives c to Accept. It closes it where the listener is closed first.
func (l *Listener) hand(c net.Conn, below *Conn) {
	select {
	case l.ready <- c:
	case <-l.done:
		_ = below.Close() // the client must connect elsewhere in any case
	}
}

// ipv6Network is how much of an IPv6 address names who has it: a network of 64 bits is
// the least that one host is given (RFC 6177).
const ipv6Network = 64

// address returns what a connection counts with: an IPv4 address or an IPv6 network;
// the invalid one where it is not held to the share of one address.
func (l *Listener) address(remote net.Addr) netip.Prefix {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	a := tcp.AddrPort().Addr().Unmap().WithZone("")
	if slices.ContainsFunc(l.o.Exempt, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return netip.Prefix{}
	}
	bits := a.BitLen()
	if a.Is6() {
		bits = ipv6Network
	}
	p, _ := a.Prefix(bits) // fails for the invalid address alone, and returns the invalid prefix
	return p
}

// State is how a listener is.
type State struct {
	Full    bool // connections are closed or refused because there is no room
	Failing bool // the system gives no new connections
	Cause   string
}

// State returns how the listener is. A trouble lasts until nothing happened for ten
// seconds.
func (l *Listener) State() State {
	full, _, _ := l.full.state()
	failing, _, cause := l.fails.state()
	return State{Full: full, Failing: failing, Cause: cause}
}

// lookEvery is how often it is looked whether a trouble is over.
const lookEvery = time.Second

// Run notices the end of troubles, and those that go on, until ctx ends. It returns nil.
func (l *Listener) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			l.follow(&l.full, Full, now)
			l.follow(&l.fails, Failing, now)
		}
	}
}

// follow reports the end of a trouble, if it has ended, or that it goes on.
func (l *Listener) follow(s *spell, what Trouble, now time.Time) {
	over := s.ended(now)
	if !over && !s.goesOn(now) || l.o.Changed == nil {
		return
	}
	_, times, cause := s.state()
	l.o.Changed(Change{Trouble: what, Over: over, Times: times, Cause: cause})
}
