package conns

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
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
