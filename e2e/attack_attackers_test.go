package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errAttackOver is returned to an attacker after the end of the attack.
var errAttackOver = errors.New("the attack is over")

// attackers open connections to the gateway and send bytes that no library would send.
// Their methods return errors instead of failing the test, because the gateway should
// close their connections. They are safe for concurrent use.
type attackers struct {
	addr        string
	roots       *x509.CertPool // nil: the gateway serves plain HTTP
	network     byte           // the third byte of their addresses, 127.0.network.n
	addresses   int
	connections atomic.Int64
	sent        atomic.Int64  // bytes
	ready       chan struct{} // closed when all attackers of parallelReady are ready
	ended       chan struct{}

	mu       sync.Mutex
	open     map[net.Conn]struct{} // guarded by mu; nil when the attack is over
	dialed   int                   // guarded by mu: number of opened connections
	notReady int                   // guarded by mu: attackers that are not ready yet
}

func newAttackers(a attack) *attackers {
	at := &attackers{network: 7, addresses: max(1, a.addresses), ready: make(chan struct{}), ended: make(chan struct{}), open: map[net.Conn]struct{}{}}
	if a.sameAddress {
		at.network = 0
	}
	return at
}

// stop ends the attack and closes all of its connections.
func (at *attackers) stop() {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.open == nil {
		return
	}
	close(at.ended)
	for c := range at.open {
		_ = c.Close()
	}
	at.open = nil
}

// isOver reports whether the attack's time is over.
func (at *attackers) isOver() bool {
	select {
	case <-at.ended:
		return true
	default:
		return false
	}
}

// pause waits for this duration, or until the attack is over, and reports whether the
// attack continues.
func (at *attackers) pause(d time.Duration) bool {
	select {
	case <-at.ended:
		return false
	case <-time.After(d):
		return true
	}
}

// parallel runs n attackers at once, and waits for all of them.
func (at *attackers) parallel(n int, each func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { each(i) })
	}
	all.Wait()
}

// parallelReady runs n attackers at once, and waits for all of them. Each calls placed
// when it holds all of its connections. When all attackers have called it, the time of
// the attack begins.
func (at *attackers) parallelReady(n int, each func(placed func())) {
	at.mu.Lock()
	at.notReady = n
	at.mu.Unlock()
	at.parallel(n, func(int) {
		each(sync.OnceFunc(func() {
			at.mu.Lock()
			defer at.mu.Unlock()
			if at.notReady--; at.notReady == 0 {
				close(at.ready)
			}
		}))
	})
}

// repeat runs one attacker again and again until the attack is over, with a pause after
// each failure.
func (at *attackers) repeat(each func() error) {
	for !at.isOver() {
		if each() != nil {
			at.pause(20 * time.Millisecond)
		}
		at.yield()
	}
}

// yield lets other tests use the processors for a moment. With -attack, attackers do
// not pause.
func (at *attackers) yield() {
	if *attackFlag == 0 {
		at.pause(5 * time.Millisecond)
	}
}

// dialTCP opens a connection without TLS, from the next of the attackers' addresses. It
// is closed when the attack is over.
func (at *attackers) dialTCP() (net.Conn, error) {
	at.mu.Lock()
	from := net.IPv4(127, 0, at.network, byte(1+at.dialed%at.addresses))
	at.dialed++
	at.mu.Unlock()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: testTimeout}
	c, err := d.Dial("tcp", at.addr)
	if err != nil {
		return nil, err
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.open == nil {
		return nil, errors.Join(errAttackOver, c.Close())
	}
	at.open[c] = struct{}{}
	at.connections.Add(1)
	return &countedConn{Conn: c, at: at}, nil
}

// dialTLS opens a connection over TLS for one protocol, "h2" or "http/1.1".
func (at *attackers) dialTLS(protocol string) (net.Conn, error) {
	c, err := at.dialTCP()
	if err != nil {
		return nil, err
	}
	s := tls.Client(c, &tls.Config{RootCAs: at.roots, ServerName: "127.0.0.1", NextProtos: []string{protocol}})
	if err := s.Handshake(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

// dialHTTP1 opens a connection for HTTP/1.1, over TLS where the gateway has it.
func (at *attackers) dialHTTP1() (net.Conn, error) {
	if at.roots == nil {
		return at.dialTCP()
	}
	return at.dialTLS("http/1.1")
}

// sendSlowly opens n connections, sends a text over each, and then one byte at a time
// with a pause after each.
func (at *attackers) sendSlowly(n int, text string, pause time.Duration) {
	at.parallelReady(n, func(placed func()) {
		at.repeat(func() error {
			defer placed()
			c, err := at.dialHTTP1()
			if err != nil {
				return err
			}
			_, err = io.WriteString(c, text)
			placed()
			for err == nil && at.pause(pause) {
				_, err = io.WriteString(c, "x")
			}
			return errors.Join(err, c.Close(), io.EOF)
		})
	})
}

// exchange sends a text over a new connection and returns the status of the answer, or
// 0 if there is no answer.
func (at *attackers) exchange(text string) (status int, err error) {
	c, err := at.dialHTTP1()
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, text); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, fmt.Errorf("reading the answer: %w", err)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}

// countedConn counts the bytes that it sends.
type countedConn struct {
	net.Conn
	at *attackers
}

// Write implements [io.Writer].
func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.at.sent.Add(int64(n))
	return n, err
}

// Close implements [io.Closer].
func (c *countedConn) Close() error {
	c.at.mu.Lock()
	delete(c.at.open, c.Conn)
	c.at.mu.Unlock()
	return c.Conn.Close()
}
