package conns

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
)

// Conn is a connection of a client that a [Listener] accepted, as it came from the
// network: below TLS. It counts for the listener's limit until it is closed.
type Conn struct {
	net.Conn
	table *table
	standing

	framing framing
	served  atomic.Int64 // requests that were handed to the server's handler
	proved  atomic.Bool  // standing.identified, to be read without the table's lock
	working atomic.Bool  // standing.busy, likewise
	handled atomic.Bool  // the request of HTTP/1 that is under way has a handler
}

// Close implements [net.Conn]. The descriptor is free before the connection stops to
// count.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.table.leave(c)
	return err //nolint:wrapcheck // it is the network's own
}

// CloseWrite closes the sending half, as net/http does before it closes a connection on
// which a client still sends.
func (c *Conn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite() //nolint:wrapcheck // it is the network's own
	}
	return nil
}

// stream is a connection of HTTP/1.x, as net/http reads it: above TLS. It follows the
// framing of the requests. Where no request comes for a while, net/http is done with
// the stream, and another one follows once the client sends something.
type stream struct {
	net.Conn // a *Conn or a *tls.Conn
	conn     *Conn
	listener *Listener
	tls      *tls.Conn    // nil: plain HTTP
	deadline atomic.Int64 // for reading, as net/http has set it, in Unix nanoseconds; 0: none
	resting  atomic.Bool  // Close puts the connection to rest
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
	return n, err //nolint:wrapcheck // it is the network's own
}

// Write implements [net.Conn]. An answer of net/http's own is replaced.
func (s *stream) Write(p []byte) (int, error) {
	answer := s.refusal(p)
	if answer == nil {
		return s.Conn.Write(p) //nolint:wrapcheck // it is the network's own
	}
	if err := refuse(s.Conn, answer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite closes the sending half.
func (s *stream) CloseWrite() error { return closeWrite(s.Conn) }

// secureStream is a stream over TLS. net/http takes the requests' TLS state from it.
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

// connKey is where the context of a request holds its [Conn].
type connKey struct{}

// Attach makes s count what happens on the listener's connections. It sets ConnState
// and ConnContext, and puts a handler in front of s.Handler, which must be set before.
func (l *Listener) Attach(s *http.Server) {
	next := s.Handler
	s.ConnState = func(c net.Conn, state http.ConnState) { l.became(counted(c), state) }
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, counted(c))
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := of(r); c != nil && r.ProtoMajor == 1 {
			c.served.Add(1)
			c.handled.Store(true)
		}
		next.ServeHTTP(w, r)
	})
}

// became takes note of a connection's new state. Its end is noted by its Close.
func (l *Listener) became(c *Conn, state http.ConnState) {
	if c == nil || state != http.StateActive && state != http.StateIdle {
		return
	}
	c.working.Store(state == http.StateActive)
	if state == http.StateIdle {
		c.handled.Store(false)
	}
	l.table.change(c, func(s *standing) { s.busy = state == http.StateActive })
}

// of returns the connection that a request came on, nil where that is not known.
func of(r *http.Request) *Conn {
	c, _ := r.Context().Value(connKey{}).(*Conn)
	return c
}

// Ambiguous reports whether the request that is being handled, or one before it on its
// connection, was framed in more than one way: with Transfer-Encoding and
// Content-Length, or with Transfer-Encoding in HTTP/1.0. Its answer must close the
// connection (RFC 9112 section 6.1). It is called by the handler of a server that a
// [Listener] is attached to; it is false elsewhere, and always in HTTP/2.
func Ambiguous(r *http.Request) bool {
	c := of(r)
	return c != nil && r.ProtoMajor == 1 && c.framing.ambiguous(c.served.Load())
}

// Identified notes that the client of a request was identified: its connection is
// closed for others last. Elsewhere than in the handler of a server that a [Listener]
// is attached to it does nothing. Many goroutines may call it.
func Identified(r *http.Request) {
	c := of(r)
	if c == nil || c.proved.Swap(true) {
		return
	}
	c.table.change(c, func(s *standing) { s.identified = true })
}
