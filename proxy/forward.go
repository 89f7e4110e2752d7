package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"

	"osgate/auth"
	"osgate/cache"
	"osgate/record"
	"osgate/regionmap"
)

// forward sends the request upstream and copies the answer back. A write is marked in
// the cache before it is sent, so that no read gets an answer from before the write.
func (p *Proxy) forward(x *exchange) (err error) {
	x.enter(record.StageForward)
	defer func() { x.finishCache(err) }()
	if err := x.awaitEnd(); err != nil {
		return err
	}
	defer p.endCall(x, nil) // for a call without an answer
	if x.failure = p.admitRegion(x); x.failure != nil {
		return p.fallBack(x)
	}
	defer func() { x.admission.Done(time.Now()) }()
	if err := p.checkLeaks(x); err != nil {
		return err
	}
	if err := p.takeOwnToken(x); err != nil {
		return err
	}
	if err := p.chargeUpstream(x); err != nil {
		return err
	}
	ctx, cancel := x.upstreamContext()
	defer cancel(nil)
	if err := p.markWrite(x, cancel); err != nil {
		return err
	}
	r := x.r.WithContext(ctx)
	r.Header, r.Body = nil, x.upstreamBody() // rewrite makes the header; ReverseProxy would only copy the client's
	if x.call == auth.Revoke {
		x.body.keep()
	}
	forwarder := httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { p.rewrite(x, pr) },
		Transport:      &attempts{proxy: p, exchange: x},
		BufferPool:     &p.buffers,
		ModifyResponse: func(answer *http.Response) error { return p.relay(ctx, x, answer) },
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.failure = x.failureOf(ctx, err) },
		ErrorLog:       silent,
	}
	forwarder.ServeHTTP(x.w, r)
	return p.fallBack(x)
}

// checkLeaks refuses a request that would send a client's own credential upstream in
// its query, in a header, or in the body of an Access Management call. Such a body is
// read to its end first.
func (p *Proxy) checkLeaks(x *exchange) error {
	if p.Brokering == nil || p.Brokering.Contains == nil {
		return nil
	}
	if p.leaks(x.query) || p.leaksInHeaders(x) {
		return errLeak
	}
	if x.call == 0 || x.r.ContentLength == 0 {
		return nil
	}
	body, _ := x.body.peek(callBytes + 1) // which boundCall does not allow
	if err := x.body.failure(); err != nil {
		return err
	}
	if p.leaks(string(body)) {
		return errLeak
	}
	return nil
}

// leaksInHeaders reports whether a header that goes upstream contains a credential. The
// client's Authorization is not one of them, or was checked before.
func (p *Proxy) leaksInHeaders(x *exchange) bool {
	for name, values := range x.r.Header {
		sent := slices.Contains(toUpstream, name) || strings.HasPrefix(name, cache.ChoosingPrefix) || name == "Via"
		if sent && slices.ContainsFunc(values, p.leaks) {
			return true
		}
	}
	return false
}

// awaitEnd waits for the end of an HTTP/2 request that declares a body of no bytes and
// has not ended with its header section. Any byte is refused: a request without a body
// is forwarded before its body is read.
func (x *exchange) awaitEnd() error {
	if x.r.ProtoMajor != 2 || x.r.ContentLength != 0 || x.r.Header["Content-Length"] == nil {
		return nil
	}
	if _, err := io.Copy(io.Discard, x.body); err != nil {
		return errors.Join(x.body.failure(), err)
	}
	return nil
}

// admitRegion returns a refusal if connections to x's region have failed lately, so
// that the request does not wait for one in vain.
func (p *Proxy) admitRegion(x *exchange) error {
	if !x.objectStore() {
		return nil
	}
	var ok bool
	if x.admission, ok = p.reach.Admit(x.location, time.Now()); !ok {
		return refusal{
			code: record.CodeUpstreamUnreachable,
			detail: "connections to " + x.location.String() +
				" have failed lately; the gateway tries again every few seconds",
		}
	}
	return nil
}

// chargeUpstream waits until the request may be sent upstream, and charges it, just
// before it is sent.
func (p *Proxy) chargeUpstream(x *exchange) error {
	if x.call != 0 {
		err := p.startCall(x)
		if err != nil {
			p.calls.countRefusal(err)
		}
		return err
	}
	if !x.objectStore() {
		return nil
	}
	defer x.enter(record.StageForward)
	if err := p.awaitUpstream(x); err != nil {
		return err
	}
	return p.chargeBudget(x)
}

// startCall lets a call go to its control plane, unless the rest of the plane's
// allowance is reserved for identification.
func (p *Proxy) startCall(x *exchange) error {
	if p.Allowances != nil {
		if wait := p.Allowances.BeginCall(x.location.Plane, x.caller); wait > 0 {
			return refusal{
				code: record.CodeOverQuota, retryAfter: wait, violated: policyPlane,
				detail: "the control plane " + x.location.Plane +
					" permits only a few more requests at the moment, and these are reserved for identification",
			}
		}
		x.usesAllowance = true
	}
	p.calls.passed.Add(1)
	return nil
}

// upstreamBody returns x's body for the upstream request.
func (x *exchange) upstreamBody() io.ReadCloser {
	if x.judging == nil || x.judging.decide == nil {
		return x.body
	}
	return &heldBody{requestBody: x.body, judge: x.judging.Judge, decide: x.judging.decide}
}

// buffers implements [httputil.BufferPool]: without it every answer would allocate 32
// KiB.
type buffers struct{ pool sync.Pool }

const bufferBytes = 32 << 10

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferBytes)
}

// Put gives a buffer back.
func (b *buffers) Put(buffer []byte) {
	if len(buffer) == bufferBytes {
		b.pool.Put((*[bufferBytes]byte)(buffer))
	}
}

// fallBack serves a stale entry in place of a missing upstream answer. It returns the
// failure if that is not possible.
func (p *Proxy) fallBack(x *exchange) error {
	if !upstreamFailed(x.failure) || x.w.status != 0 || !x.hasFallback() {
		return x.failure
	}
	if x.fill != nil {
		x.fill.Fail(x.failure) // before the write, because a client may read slowly
	}
	r, _ := errors.AsType[refusal](x.failure)
	x.status = x.stale.Status
	x.rec.Cause = record.Cause(r.cause)
	x.serveEntry(x.stale.Entry)
	return nil
}

// silent discards ReverseProxy's messages about copies that were cut; record reports
// them, once.
var silent = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

// upstreamContext returns the context of the upstream request. A read ends when its
// client leaves and no other request waits for it. A write that may have been sent
// continues until its answer arrives, so that its outcome is known.
func (x *exchange) upstreamContext() (context.Context, context.CancelCauseFunc) {
	parent := x.r.Context()
	switch {
	case x.op.Writes():
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
		stop := context.AfterFunc(parent, func() {
			if !x.connected.Load() {
				cancel(context.Cause(parent))
			}
		})
		return ctx, func(cause error) { stop(); cancel(cause) }
	case x.fill != nil:
		return x.fill.FetchContext(parent)
	}
	return parent, func(error) {} // only the client's leaving ends it
}

// rewrite makes the upstream request: the location's host, the path's bytes as
// received, and the headers of the allow list.
func (p *Proxy) rewrite(x *exchange, pr *httputil.ProxyRequest) {
	pr.Out.Host = p.host(x)
	*pr.Out.URL = p.targetURL(pr.Out.Host, x.upstreamPath())
	pr.Out.URL.RawQuery, pr.Out.URL.ForceQuery = x.query, x.forceQuery
	pr.Out.Header = x.outHeader()
	pr.Out.Trailer = nil
}

// upstreamPath returns the raw path of the upstream request.
func (x *exchange) upstreamPath() string {
	if x.call != 0 {
		return x.path
	}
	return x.op.Path()
}

// host returns the upstream host of an exchange, from the region map.
func (p *Proxy) host(x *exchange) string {
	if x.call != 0 {
		return regionmap.AccountsHost(x.location.Plane)
	}
	return regionmap.Host(x.location)
}

// failureOf returns why there was no answer from upstream: an error of the client's
// body, a client that left, a timeout, or an error of upstream.
func (x *exchange) failureOf(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errUnrenewed) {
		return x.unrenewed()
	}
	if bodyErr := x.body.failure(); bodyErr != nil {
		return bodyErr
	}
	if x.left() && !errors.Is(err, errIdle) {
		return context.Canceled
	}
	if ownCredentialRefused(err) {
		return err
	}
	if errors.Is(err, errLateMark) {
		return refusal{
			code: record.CodeOverloaded, title: unsentTitle, detail: "the write waited too long to be sent",
			cause: err, retryAfter: time.Second,
		}
	}
	if errors.Is(err, errAllInUse) {
		return refusal{
			code: record.CodeOverloaded, proxy: "connection_limit_reached",
			detail: "all connections to upstream are in use", cause: err, retryAfter: time.Second,
		}
	}
	var late interface{ Timeout() bool }
	timeout := errors.As(err, &late) && late.Timeout()
	switch {
	case x.call != 0:
		return refusal{
			code: record.CodeIdentityUnavailable, title: "No answer from the control plane",
			cause: err, retryAfter: time.Second,
			detail: "the control plane " + x.location.Plane +
				" could not be reached, broke off or did not answer in time",
		}
	case timeout:
		return refusal{code: record.CodeUpstreamTimeout, detail: "Object Store did not answer in time", cause: err}
	}
	return refusal{
		code: record.CodeUpstreamUnreachable, detail: "Object Store could not be reached or broke off", cause: err,
	}
}

// unrenewed returns the refusal of a write that was cut because its mark could not be
// renewed. A 503 means that nothing was sent. A write that was sent may have taken
// effect.
func (x *exchange) unrenewed() error {
	if x.rec.UpstreamAttempts == 0 {
		return refusal{
			code: record.CodeOverloaded, title: unsentTitle,
			detail: "the write was not sent: its mark for the caches could not be renewed", cause: errUnrenewed,
			retryAfter: time.Second,
		}
	}
	return refusal{
		code: record.CodeUpstreamTimeout, title: "Write broken off", cause: errUnrenewed,
		detail: "the write was broken off, because its mark for the caches could not be renewed; whether it took effect is not known",
	}
}

// finishCache ends the exchange's fill and mark, with the outcome as far as it is
// known; err is the reason if there was no answer. After a complete answer replyBody
// has already done most of it.
func (x *exchange) finishCache(err error) {
	if err == nil { // a stale entry was served instead
		err = x.failure
	}
	if x.fill != nil && err != nil {
		x.fill.Fail(err)
	}
	if x.reply != nil {
		x.reply.finish(false)
		return
	}
	x.conclude(false, 0)
}
