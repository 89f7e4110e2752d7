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

// pooledSendings is how often a request may be sent over connections that were kept, each
// of which may have died. One more sending goes over a new connection.
const pooledSendings = 2

// sending is one request on its way to upstream, over as many connections as it takes. A
// caller of a [Transport] that wants to know what became of its request makes one and puts
// it into the request's context by [sending.in]; each sending is for one request.
type sending struct {
	within    time.Duration     // how long upstream may take for the next step; 0: as the transport says
	onConn    func(reused bool) // called for each connection before the request is written; nil: no call
	connected atomic.Bool       // a connection was found: from now on bytes may have left
	kept      atomic.Bool       // the latest connection had carried a request before
	written   atomic.Int32      // how often the request's header was written

	once   bool // the request must not be written twice
	tries  int  // by the goroutine of RoundTrip
	most   int  // tries allowed
	clock  *clock
	cancel context.CancelCauseFunc
	ctx    context.Context //nolint:containedctx // of the request, to read its cause
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

// begin returns the request that goes to net/http in the place of r.
func (s *sending) begin(r *http.Request, timeout time.Duration) *http.Request {
	if s.within == 0 {
		s.within = timeout
	}
	s.once = r.Method != http.MethodGet && r.Method != http.MethodHead
	s.most = pooledSendings
	s.clock = newClock(s.late)
	ctx, cancel := context.WithCancelCause(r.Context())
	s.ctx, s.cancel = ctx, cancel
	out := r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      s.gotConn,
		WroteHeaders: func() { s.written.Add(1) }, // by the goroutine of a connection
	}))
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = &pacedBody{out.Body, s}
	}
	s.clock.start(stepRequest, s.within)
	return out
}

// again is called before each try to send the request, and refuses one too many.
func (s *sending) again() error {
	s.tries++
	switch {
	case s.once && s.written.Load() > 0:
		return errNotTwice
	case s.tries > s.most:
		return errTooOften
	}
	return nil
}

// gotConn notes that the request has a connection. One that carries a write is closed by a
// reset from now on (SO_LINGER 0, socket(7)): a write that is given up in the middle, or
// whose process ends, leaves nothing behind that the kernel would still deliver.
func (s *sending) gotConn(c httptrace.GotConnInfo) {
	s.connected.Store(true)
	s.kept.Store(c.Reused)
	if s.onConn != nil {
		s.onConn(c.Reused)
	}
	if s.once {
		if tcp, ok := bare(c.Conn).(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails on a connection that is closed already
		}
	}
}

// bare returns the connection under TLS and under the count of connections.
func bare(c net.Conn) net.Conn {
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

// late gives the request up: upstream has not done the next step in time.
func (s *sending) late(in step) {
	switch {
	case in == stepAnswer:
		s.cancel(errIdle)
	case !s.connected.Load():
		s.cancel(errNoConnection)
	default:
		s.cancel(errLate)
	}
}

// cause returns the step that took too long, if late gave the request up for it; else err.
func (s *sending) cause(err error) error {
	if late, ok := errors.AsType[lateError](context.Cause(s.ctx)); ok {
		return late
	}
	return err
}

// end frees what the request holds.
func (s *sending) end() {
	s.clock.stop(stepAnswer)
	s.cancel(nil)
}

// lateError says that upstream took too long for a step. Its Timeout is true.
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
	// errIdle gives up an answer whose body stands still.
	errIdle = lateError("upstream sent nothing for " + idleTimeout.String())

	errNotTwice = fmt.Errorf("the connection ended, and the request must not be sent twice: %w", syscall.ECONNRESET)
	errTooOften = fmt.Errorf("one connection after another ended: %w", syscall.ECONNRESET)
)
