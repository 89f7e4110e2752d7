package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bounded sends requests with guarantees that net/http does not give. They hold for every
// repetition, by net/http or by this package:
//
//   - A GET or HEAD is sent at most three times, the last time over a new connection. Any
//     other request is sent once: it goes over a second connection only if its header was
//     never written to the first.
//   - Upstream gets timeout for each step: for everything up to the answer's header of a
//     request without a body; for each further part of a body, and for the answer's header
//     after the last part. Repetitions are included. The time in which the caller's body is
//     read does not count.
//   - The answer's body may stand still for idleTimeout. The time between two reads does
//     not count.
//
// An answer 101 is an error and closes the connection: no request offers Upgrade, so a
// server must not switch protocols (RFC 9110 section 15.2.2), and such an answer never ends.
// Other informational answers are skipped; they count toward the bounds on the time to the
// answer and on the size of its header.
//
// A step that takes longer ends the request and closes its connection; the error has the
// method Timeout. The caller must close the answer's body. Safe for concurrent use.
type bounded struct {
	first   *http.Transport
	last    *http.Transport // for the last sending of a request; nil: first sends it too
	timeout time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	s := sendingOf(r.Context())
	if s == nil {
		s = new(sending)
		r = r.WithContext(context.WithValue(r.Context(), sendingKey{}, s))
	}
	out := s.begin(r, b.timeout)
	answer, err := b.first.RoundTrip(out)
	if errors.Is(err, errTooOften) && b.last != nil {
		s.maxTries = s.tries + 1
		answer, err = b.last.RoundTrip(out)
	}
	if err != nil {
		err = s.cause(err)
		s.end()
		return nil, err
	}
	s.clock.stop(stepAnswer)
	s.answer = answerBody{answer.Body, s}
	answer.Body = &s.answer
	if answer.StatusCode == http.StatusSwitchingProtocols {
		_ = answer.Body.Close() // ends the connection
		return nil, errSwitched
	}
	return answer, nil
}

// errSwitched is the error of an answer that switches to another protocol.
var errSwitched = errors.New("upstream answered 101 (Switching Protocols), which no request offers")

// CloseIdleConnections closes the connections that no request uses.
func (b *bounded) CloseIdleConnections() { b.first.CloseIdleConnections() }

// pacedBody is a request's body that net/http reads: during a read upstream's time does
// not count, and after each read it starts again.
type pacedBody struct {
	io.ReadCloser
	sending *sending
}

// Read implements [io.Reader].
func (b *pacedBody) Read(p []byte) (int, error) {
	b.sending.clock.stop(stepRequest)
	n, err := b.ReadCloser.Read(p)
	b.sending.clock.start(stepRequest, b.sending.within)
	return n, err
}

// answerBody is an answer's body with a bound on the time of each read.
type answerBody struct {
	io.ReadCloser
	sending *sending
}

// Read implements [io.Reader].
func (b *answerBody) Read(p []byte) (int, error) {
	b.sending.clock.start(stepAnswer, idleTimeout)
	n, err := b.ReadCloser.Read(p)
	b.sending.clock.stop(stepAnswer)
	if err != nil && err != io.EOF { //nolint:errorlint // a body's end is io.EOF itself
		err = b.sending.cause(err)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.sending.end()
	return err
}

// pooledSendings is how often a request may be sent over kept connections, each of
// which may be dead. One more sending uses a new connection.
const pooledSendings = 2

// sending is one request on its way upstream, over as many connections as it takes. A
// caller of a [Transport] that needs the details of its request creates one and puts it
// into the request's context under sendingKey. A sending is for one request only.
type sending struct {
	within    time.Duration // how long upstream may take for the next step; 0: the transport's timeout
	observer  observer      // nil: none
	connected atomic.Bool   // there was a connection: bytes may have been sent
	reused    atomic.Bool   // the latest connection had carried an earlier request
	written   atomic.Int32  // how often the request's header was written

	once     bool // the request must not be written twice
	tries    int  // counted by the goroutine of RoundTrip
	maxTries int  // upper bound of tries
	clock    clock
	cancel   context.CancelCauseFunc
	ctx      context.Context //nolint:containedctx // the request's, to read its cause
	hooks    httptrace.ClientTrace
	answer   answerBody
}

// observer is called for each connection of a sending, before the request is written to
// it.
type observer interface{ connected(reused bool) }

type sendingKey struct{}

// sendingOf returns the sending in ctx, nil if there is none.
func sendingOf(ctx context.Context) *sending {
	s, _ := ctx.Value(sendingKey{}).(*sending)
	return s
}

// hookless is Context without its trace hooks, and with a sending. Other values come from
// Context, hooks from values. Context's own cancelation must stay visible: package
// context finds it by a value, and otherwise each derived context would need a
// goroutine.
type hookless struct {
	context.Context                 //nolint:containedctx // it is a context
	values          context.Context //nolint:containedctx // the parent of Context, without the hooks
	sending         *sending
}

// Value implements [context.Context].
func (c hookless) Value(key any) any {
	if key == (sendingKey{}) {
		return c.sending
	}
	value := c.Context.Value(key)
	if _, hooks := value.(*httptrace.ClientTrace); hooks {
		return c.values.Value(key)
	}
	return value
}

// begin returns the request to pass to net/http instead of r.
func (s *sending) begin(r *http.Request, timeout time.Duration) *http.Request {
	if s.within == 0 {
		s.within = timeout
	}
	s.once = r.Method != http.MethodGet && r.Method != http.MethodHead
	s.maxTries = pooledSendings
	s.clock.waiter = s
	s.ctx, s.cancel = context.WithCancelCause(r.Context())
	s.hooks.GotConn, s.hooks.WroteHeaders = s.gotConn, s.wroteHeaders
	out := r.WithContext(httptrace.WithClientTrace(s.ctx, &s.hooks))
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = &pacedBody{out.Body, s}
	}
	s.clock.start(stepRequest, s.within)
	return out
}

// gotConn records that the request has a connection. A connection that carries a write
// is closed by a reset from now on (SO_LINGER 0, socket(7)): if the write is given up
// in the middle, or the process ends, the kernel delivers no byte of it afterwards.
func (s *sending) gotConn(c httptrace.GotConnInfo) {
	s.connected.Store(true)
	s.reused.Store(c.Reused)
	if s.observer != nil {
		s.observer.connected(c.Reused)
	}
	if s.once {
		if tcp, ok := underlying(c.Conn).(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails if the connection is already closed
		}
	}
}

// wroteHeaders counts the request's headers written. A connection's goroutine calls it.
func (s *sending) wroteHeaders() { s.written.Add(1) }

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

// step is an action of upstream that the gateway waits for.
type step uint8

const (
	stepRequest step = iota // to accept the request and to begin its answer
	stepAnswer              // to send more of the answer's body
)

// clock bounds the steps of one request: it calls its waiter's timeOut once, on a
// goroutine of its own, when a step has used its time. A step of the request cannot be
// started or stopped after the answer has arrived, because net/http may still read the
// request's body then. A clock with a waiter is ready, and safe for concurrent use.
type clock struct {
	waiter interface{ timeOut(in step) }

	mu      sync.Mutex
	timer   *time.Timer // guarded by mu; nil: no step was started
	step    step        // guarded by mu
	running bool        // guarded by mu
	due     time.Time   // guarded by mu: end of the running step's time
}

// start starts a step that may take d. It replaces the running step.
func (c *clock) start(s step, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s < c.step {
		return
	}
	c.step, c.running, c.due = s, true, time.Now().Add(d)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.fire)
	} else {
		c.timer.Reset(d)
	}
}

// stop ends a step that was in time.
func (c *clock) stop(s step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s < c.step {
		return
	}
	c.step, c.running = s, false
	if c.timer != nil {
		c.timer.Stop()
	}
}

// fire calls timeOut, unless the step that set the timer was stopped or replaced meanwhile.
func (c *clock) fire() {
	c.mu.Lock()
	late, s := c.running && !time.Now().Before(c.due), c.step
	c.running = c.running && !late
	c.mu.Unlock()
	if late {
		c.waiter.timeOut(s)
	}
}
