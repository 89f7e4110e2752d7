package conns

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a client connection that a [Listener] accepted, as it came from the network:
// below TLS. It counts towards the listener's limit until it is closed.
type Conn struct {
	net.Conn
	table *table
	connState

	framing          framing
	requests         atomic.Int64 // requests that were passed to the server's handler
	atomicIdentified atomic.Bool  // connState.identified, readable without the table's lock
	atomicBusy       atomic.Bool  // connState.busy, readable without the table's lock
	handled          atomic.Bool  // the HTTP/1 request under way was passed to a handler
}

// Close implements [net.Conn]. It frees the descriptor before the connection stops
// counting towards the limit.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.table.leave(c)
	return err //nolint:wrapcheck // the network's own error
}

// leave removes the closed connection c, if the table still has it.
func (t *table) leave(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(c)
}

// CloseWrite closes the sending half, as net/http does before it closes a connection on
// which a client still sends.
func (c *Conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite() //nolint:wrapcheck // the network's own error
	}
	return nil
}

// stream is an HTTP/1.x connection as net/http reads it: above TLS. It follows the
// framing of the requests. When no request arrives for a while, net/http drops the
// stream, and a new stream is made for the connection when the client sends something.
type stream struct {
	net.Conn // a *Conn or a *tls.Conn
	conn     *Conn
	listener *Listener
	tls      *tls.Conn    // nil: plain HTTP
	deadline atomic.Int64 // read deadline that net/http has set, in Unix nanoseconds; 0: none
	resting  atomic.Bool  // Close must let the connection rest instead of closing it
}

// newStream returns a stream of c, over TLS unless secured is nil.
func newStream(l *Listener, c *Conn, secured *tls.Conn) net.Conn {
	if secured == nil {
		return &stream{Conn: c, conn: c, listener: l}
	}
	return &secureStream{stream{Conn: secured, conn: c, listener: l, tls: secured}}
}

// Read implements [net.Conn].
func (s *stream) Read(p []byte) (n int, err error) {
	if s.conn.pauses() {
		n, err = s.pause(p)
	} else {
		n, err = s.Conn.Read(p)
	}
	s.conn.framing.scan(p[:n])
	return n, err //nolint:wrapcheck // the network's own error
}

// Write implements [net.Conn]. It replaces an answer that net/http writes by itself.
func (s *stream) Write(p []byte) (int, error) {
	answer := s.refusal(p)
	if answer == nil {
		return s.Conn.Write(p) //nolint:wrapcheck // the network's own error
	}
	if err := refuse(s.Conn, answer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite closes the sending half.
func (s *stream) CloseWrite() error { return closeWrite(s.Conn) }

// secureStream is a stream over TLS. net/http reads the TLS state of requests from it.
type secureStream struct{ stream }

// ConnectionState returns the state of the TLS connection.
func (s *secureStream) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

// counted returns the Conn below a connection that a Listener returned.
func counted(c net.Conn) *Conn {
	switch c := c.(type) {
	case *stream:
		return c.conn
	case *secureStream:
		return c.conn
	case *tls.Conn:
		return counted(c.NetConn())
	case *Conn:
		return c
	}
	return nil
}

// connKey is the context key for the [Conn] of a request.
type connKey struct{}

// Attach makes the listener follow the requests and states of the connections of s. It
// sets ConnState and ConnContext, and wraps s.Handler, which must be set before.
func (l *Listener) Attach(s *http.Server) {
	next := s.Handler
	s.ConnState = func(c net.Conn, state http.ConnState) { l.became(counted(c), state) }
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, counted(c))
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := of(r); c != nil && r.ProtoMajor == 1 {
			c.requests.Add(1)
			c.handled.Store(true)
		}
		next.ServeHTTP(w, r)
	})
}

// became records a connection's new state. The end of a connection is recorded by its
// Close.
func (l *Listener) became(c *Conn, state http.ConnState) {
	if c == nil || state != http.StateActive && state != http.StateIdle {
		return
	}
	c.atomicBusy.Store(state == http.StateActive)
	if state == http.StateIdle {
		c.handled.Store(false)
	}
	l.table.change(c, func(s *connState) { s.busy = state == http.StateActive })
}

// of returns the connection on which a request arrived, nil if it is not known.
func of(r *http.Request) *Conn {
	c, _ := r.Context().Value(connKey{}).(*Conn)
	return c
}

// Ambiguous reports whether the current request, or one before it on its connection,
// was framed in more than one way: with Transfer-Encoding and Content-Length, or with
// Transfer-Encoding in HTTP/1.0. The response must close the connection (RFC 9112
// section 6.1). Only the handler of a server that a [Listener] is attached to may call
// it: in other handlers it returns false, and always for HTTP/2.
func Ambiguous(r *http.Request) bool {
	c := of(r)
	return c != nil && r.ProtoMajor == 1 && c.framing.ambiguous(c.requests.Load())
}

// ambiguous reports whether the request with this number, counted from 1, or one before
// it is framed in more than one way.
func (f *framing) ambiguous(request int64) bool {
	first := f.first.Load()
	return first != 0 && request >= first
}

// Identified records that the client of a request was identified: its connection is the
// last to be closed for others. In a handler of a server that no [Listener] is attached
// to, it has no effect. It is safe for concurrent use.
func Identified(r *http.Request) {
	c := of(r)
	if c == nil || c.atomicIdentified.Swap(true) {
		return
	}
	c.table.change(c, func(s *connState) { s.identified = true })
}

// restAfter is the default time after which an HTTP/1 connection without a request
// rests. For a connection, net/http keeps a goroutine with a stack that a request has
// grown, and two buffers; a resting connection needs a small part of that.
const restAfter = time.Second

// pause reads the beginning of a request, which may take long to arrive. If no byte
// arrives for a while, it reports the end of the connection to net/http, whose Close
// then lets the connection rest.
func (s *stream) pause(p []byte) (int, error) {
	until := s.until()
	first := time.Now().Add(s.listener.o.Rest)
	if !until.IsZero() && until.Before(first) {
		return s.Conn.Read(p) //nolint:wrapcheck // the network's own error
	}
	if err := s.Conn.SetReadDeadline(first); err != nil {
		return 0, err //nolint:wrapcheck // the network's own error
	}
	n, err := s.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
		s.resting.Store(true)
		return 0, io.EOF // net/http takes it for a client that has left, and sends no answer
	}
	if failed := s.Conn.SetReadDeadline(until); failed != nil && err == nil {
		err = failed
	}
	return n, err //nolint:wrapcheck // the network's own error
}

// SetReadDeadline implements [net.Conn].
func (s *stream) SetReadDeadline(t time.Time) error {
	s.deadline.Store(0)
	if !t.IsZero() {
		s.deadline.Store(t.UnixNano())
	}
	return s.Conn.SetReadDeadline(t) //nolint:wrapcheck // the network's own error
}

// SetDeadline implements [net.Conn].
func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// until returns the read deadline that net/http has set, zero for none.
func (s *stream) until() time.Time {
	if at := s.deadline.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Close implements [net.Conn]. A connection that is to rest stays open.
func (s *stream) Close() error {
	if s.resting.CompareAndSwap(true, false) {
		go s.rest() // ends with the client's next byte, the deadline, or Close of the listener
		return nil
	}
	return s.Conn.Close() //nolint:wrapcheck // the network's own error
}

// rest waits for the client's next byte, and passes the connection to net/http again.
// It closes the connection if no byte arrives before the deadline.
func (s *stream) rest() {
	c := s.conn
	if !s.listener.table.rest(c, true) || c.SetReadDeadline(s.until()) != nil || readable(c.Conn) != nil {
		_ = s.Conn.Close() // the client has left, or must connect again
		return
	}
	s.listener.table.rest(c, false)
	s.listener.hand(newStream(s.listener, c, s.tls), c)
}

// pauses reports whether the next read is the first one of a request, on a connection
// that can rest.
func (c *Conn) pauses() bool {
	_, socket := c.Conn.(syscall.Conn)
	return socket && canWait && !c.atomicBusy.Load() && !c.framing.begun
}

// Refusal is a request that net/http refuses by itself, before any handler: it cannot
// be read, or its header section is too large.
type Refusal struct {
	Remote net.Addr // address of the client
	Status int      // status code of net/http's answer
	Reason string   // net/http's text, which quotes no part of the request; may be empty
}

// refusal returns the answer that replaces net/http's, nil if p is not such an answer.
// net/http writes it at once, before a handler has begun.
func (s *stream) refusal(p []byte) []byte {
	if s.listener.o.Refuse == nil || s.conn.handled.Load() {
		return nil
	}
	rest, found := bytes.CutPrefix(p, []byte("HTTP/1.1 "))
	if !found {
		return nil
	}
	line, _, _ := strings.Cut(string(rest), "\r\n") // "400 Bad Request: missing required Host header"
	code, phrase, _ := strings.Cut(line, " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return nil
	}
	_, reason, _ := strings.Cut(phrase, ": ")
	return s.listener.o.Refuse(Refusal{Remote: s.RemoteAddr(), Status: status, Reason: reason})
}

// Limits of reading the rest of a refused request after the answer.
const (
	drainBytes = 1 << 20
	drainTime  = 500 * time.Millisecond
)

// refuse writes the listener's answer, and then reads for a while: to close a
// connection on which bytes are unread resets it, and the client may lose the answer
// (RFC 9112 section 9.6).
func refuse(c net.Conn, answer []byte) error {
	if _, err := c.Write(answer); err != nil {
		return err //nolint:wrapcheck // the network's own error
	}
	if closeWrite(c) == nil && c.SetReadDeadline(time.Now().Add(drainTime)) == nil { // otherwise the client has left
		_, _ = io.CopyN(io.Discard, c, drainBytes) // ends with the client's end, or at the limits
	}
	return nil
}
