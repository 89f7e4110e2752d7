package conns

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

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
