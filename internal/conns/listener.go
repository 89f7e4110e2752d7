package conns

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Options set up a [Listener].
type Options struct {
	Limit     int            // maximum number of open connections; at least 1
	Exempt    []netip.Prefix // addresses without the limit on one address: proxies with many clients
	TLS       *tls.Config    // nil: plain HTTP
	Handshake time.Duration  // time limit of a TLS handshake; 0: 10 s
	Rest      time.Duration  // how long net/http keeps an HTTP/1 connection without a request; 0: 1 s

	// Changed is called when a problem begins, when it is over, and once a minute while
	// it lasts. It must not block. Nil: no call.
	Changed func(Change)

	// Refuse returns the answer to an HTTP/1.x request that net/http refuses by itself,
	// which replaces net/http's answer: a complete HTTP/1.1 message, after which the
	// connection is closed. Several goroutines may call it at the same time; it must
	// not block. If Refuse is nil or returns nil, net/http's answer is sent.
	Refuse func(Refusal) []byte

	// Failed is called with the error of each TLS handshake that failed. Several
	// goroutines may call it at the same time; it must not block. Nil: no call.
	Failed func(remote net.Addr, err error)
}

// Counts are a listener's numbers. Limit, Idle and Busy are current values; the others
// count from the start.
type Counts struct {
	Limit      int
	Idle, Busy int // open connections without and with a request under way
	ClosedIdle int64
	ClosedBusy int64 // connections closed to make room for another one
	Refused    int64 // new connections closed because there was no room
	Failed     int64 // errors of the system while accepting
	Handshakes int64 // TLS handshakes that failed
}

// Listener is a [net.Listener] that bounds how many connections are open. Its
// connections are for the one [http.Server] that it is attached to: HTTP/2 connections
// are *tls.Conn with a complete handshake. It is safe for concurrent use.
type Listener struct {
	net.Listener
	o     Options
	table *table
	ready chan net.Conn
	fatal chan error // holds one element
	done  chan struct{}
	close func() error
	once  sync.Once
	full  episode
	fails episode
}

// handshake is the default time limit of a TLS handshake.
const handshake = 10 * time.Second

// New returns a Listener for the connections that inner accepts. The first Accept
// starts its goroutine, and Close ends it and the connections that rest. TLS handshakes
// that are under way end within their time limit.
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

// wake closes the connections that rest.
func (t *table) wake() {
	for _, c := range t.resting() {
		_ = c.Conn.Close() // its goroutine, which waits for bytes, closes the layers above
	}
}

// resting returns the connections that rest, and keeps others from resting.
func (t *table) resting() (all []*Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for identified := range t.kinds {
		for c := t.kinds[identified][0].first; c != nil; c = c.links[laneAll].after {
			if c.resting {
				all = append(all, c)
			}
		}
	}
	return all
}

// Close implements [net.Listener].
func (l *Listener) Close() error { return l.close() }

// Counts returns the listener's numbers.
func (l *Listener) Counts() Counts { return l.table.count() }

// count returns the counts so far.
func (t *table) count() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.counts
	n.Idle = t.kinds[0][0].len + t.kinds[1][0].len
	n.Busy = t.open() - n.Idle
	return n
}

// Accept implements [net.Listener]. It does not return temporary errors of the system,
// but waits until they are over.
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

// accept accepts connections from the system until the listener is closed.
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

// passing reports whether err is temporary: the system had no descriptors or memory, or
// the client had closed the connection.
func passing(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.EINTR,
	}, func(target error) bool { return errors.Is(err, target) })
}

// The minimum and maximum wait between two attempts to accept.
const (
	shortestWait = 5 * time.Millisecond
	longestWait  = time.Second
)

// failed records that the system returned no connection. It closes an idle connection
// if descriptors are missing, waits, and returns how long it waited.
func (l *Listener) failed(err error, before time.Duration) time.Duration {
	l.table.add(func(n *Counts) { n.Failed++ })
	l.problem(&l.fails, Failing, err.Error())
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		if c := l.table.oldest(); c != nil {
			_ = c.Conn.Close() // an error does not matter: the client must connect again in any case
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

// oldest removes, counts and returns the connection that has been idle for the longest
// time, an unidentified one if possible; nil if none is idle.
func (t *table) oldest() *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for identified := range t.kinds {
		if c := t.kinds[identified][0].first; c != nil {
			t.note(c)
			t.drop(c)
			return c
		}
	}
	return nil
}

// admit counts a new connection, and passes it on unless there is no room for it.
func (l *Listener) admit(raw net.Conn) {
	c := &Conn{Conn: raw, table: l.table}
	c.address = l.address(raw.RemoteAddr())
	if closed := l.table.enter(c); closed != nil {
		l.problem(&l.full, Full, "")
		_ = closed.Conn.Close() // net/http sees the end; the client must connect again in any case
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

// secure does the TLS handshake, and passes the connection on according to its
// protocol: an HTTP/2 connection in the form that net/http needs, an HTTP/1 connection
// as a stream, so that its requests can be followed.
func (l *Listener) secure(c *Conn) {
	secured := tls.Server(c, l.o.TLS)
	if err := shake(secured, l.o.Handshake); err != nil {
		l.table.add(func(n *Counts) { n.Handshakes++ })
		l.answerPlain(err)
		if l.o.Failed != nil {
			l.o.Failed(c.RemoteAddr(), err)
		}
		_ = c.Close() // the handshake's error is reported already
		return
	}
	if secured.ConnectionState().NegotiatedProtocol == "h2" {
		l.hand(secured, c)
		return
	}
	l.hand(newStream(l, c, secured), c)
}

// shake does the handshake within a time limit.
func shake(c *tls.Conn, within time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return fmt.Errorf("bounding the handshake: %w", err)
	}
	if err := c.Handshake(); err != nil { //nolint:noctx // the connection has a deadline
		return fmt.Errorf("TLS handshake: %w", err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("after the handshake: %w", err)
	}
	return nil
}

// answerPlain answers a client that sends plain HTTP.
func (l *Listener) answerPlain(err error) {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || header.Conn == nil {
		return
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		_ = refuse(header.Conn, l.plainAnswer(header.Conn)) // best effort: the connection is closed next
	}
}

// plainAnswer returns the answer to a client that sends plain HTTP: net/http's, if
// Refuse returns none.
func (l *Listener) plainAnswer(c net.Conn) []byte {
	const reason = "Client sent an HTTP request to an HTTPS server."
	if l.o.Refuse != nil {
		answer := l.o.Refuse(Refusal{Remote: c.RemoteAddr(), Status: http.StatusBadRequest, Reason: reason})
		if answer != nil {
			return answer
		}
	}
	return []byte("HTTP/1.0 400 Bad Request\r\n\r\n" + reason + "\n")
}

// hand passes c to Accept. It closes c if the listener is closed first.
func (l *Listener) hand(c net.Conn, below *Conn) {
	select {
	case l.ready <- c:
	case <-l.done:
		_ = below.Close() // an error does not matter: this process does not serve it
	}
}

// ipv6Network is the number of bits of an IPv6 address that identify its owner: 64 bits
// are the smallest network that one host gets (RFC 6177).
const ipv6Network = 64

// address returns the network that a connection counts for: an IPv4 address or an IPv6
// network; the invalid prefix if it has no limit on one address.
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
	p, _ := a.Prefix(bits) // fails only for the invalid address, and then returns the invalid prefix
	return p
}
