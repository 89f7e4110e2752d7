package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"
)

// pooledSendings is how often a request may be sent over kept connections, each of
// which may be dead. One more sending uses a new connection.
const pooledSendings = 2

// sending is one request on its way upstream, over as many connections as it takes. A
// caller of a [Transport] that needs the details of its request creates one and puts it
// into the request's context with [sending.in]. A sending is for one request only.
type sending struct {
	within    time.Duration     // how long upstream may take for the next step; 0: the transport's timeout
	onConn    func(reused bool) // called for each connection before the request is written; nil: no call
	connected atomic.Bool       // there was a connection: bytes may have been sent
	reused    atomic.Bool       // the latest connection had carried an earlier request
	written   atomic.Int32      // how often the request's header was written

	once     bool // the request must not be written twice
	tries    int  // counted by the goroutine of RoundTrip
	maxTries int  // upper bound of tries
	clock    *clock
	cancel   context.CancelCauseFunc
	ctx      context.Context //nolint:containedctx // the request's, to read its cause
}

type sendingKey struct{}

// in returns ctx with s in it.
func (s *sending) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, sendingKey{}, s)
}

// sendingOf returns the sending in ctx, nil if there is none.
func sendingOf(ctx context.Context) *sending {
	s, _ := ctx.Value(sendingKey{}).(*sending)
	return s
}

// begin returns the request to pass to net/http instead of r.
func (s *sending) begin(r *http.Request, timeout time.Duration) *http.Request {
	if s.within == 0 {
		s.within = timeout
	}
	s.once = r.Method != http.MethodGet && r.Method != http.MethodHead
	s.maxTries = pooledSendings
	s.clock = newClock(s.timeOut)
	ctx, cancel := context.WithCancelCause(r.Context())
	s.ctx, s.cancel = ctx, cancel
	out := r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      s.gotConn,
		WroteHeaders: func() { s.written.Add(1) }, // called by the goroutine of a connection
	}))
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = &pacedBody{out.Body, s}
	}
	s.clock.start(stepRequest, s.within)
	return out
}

// countTry is called before each try to send the request, and returns an error if there
// were too many.
func (s *sending) countTry() error {
	s.tries++
	switch {
	case s.once && s.written.Load() > 0:
		return errNotTwice
	case s.tries > s.maxTries:
		return errTooOften
	}
	return nil
}

// gotConn records that the request has a connection. A connection that carries a write
// is closed by a reset from now on (SO_LINGER 0, socket(7)): if the write is given up
// in the middle, or the process ends, the kernel delivers no byte of it afterwards.
func (s *sending) gotConn(c httptrace.GotConnInfo) {
	s.connected.Store(true)
	s.reused.Store(c.Reused)
	if s.onConn != nil {
		s.onConn(c.Reused)
	}
	if s.once {
		if tcp, ok := underlying(c.Conn).(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails if the connection is already closed
		}
	}
}

// underlying returns the connection below TLS and below [dialed].
func underlying(c net.Conn) net.Conn {
	for {
		switch over := c.(type) {
		case *tls.Conn:
			c = over.NetConn()
		case *dialed:
			c = over.Conn
		default:
			return c
		}
	}
}

// timeOut ends the request because upstream has not done the next step in time.
func (s *sending) timeOut(in step) {
	switch {
	case in == stepAnswer:
		s.cancel(errIdle)
	case !s.connected.Load():
		s.cancel(errNoConnection)
	default:
		s.cancel(errLate)
	}
}

// cause returns the step that took too long, if timeOut ended the request, and err
// otherwise.
func (s *sending) cause(err error) error {
	if late, ok := errors.AsType[lateError](context.Cause(s.ctx)); ok {
		return late
	}
	return err
}

// end frees the resources of the request.
func (s *sending) end() {
	s.clock.stop(stepAnswer)
	s.cancel(nil)
}

// lateError means that upstream took too long for a step. Its Timeout is true.
type lateError string

// Error implements error.
func (e lateError) Error() string { return string(e) }

// Timeout is the method of [net.Error].
func (lateError) Timeout() bool { return true }

const (
	errNoConnection lateError = "upstream accepted no connection in time"
	errLate         lateError = "upstream did not take the request or begin its answer in time"
)

var (
	// errIdle ends an answer whose body stands still.
	errIdle = lateError("upstream sent nothing for " + idleTimeout.String())

	errNotTwice = fmt.Errorf("the connection ended, and the request must not be sent twice: %w", syscall.ECONNRESET)
	errTooOften = fmt.Errorf("one connection after another ended: %w", syscall.ECONNRESET)
)
