package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"osgate/record"
)

// errFallback means that a stale entry replaces an upstream answer.
var errFallback = errors.New("upstream failed")

// hasFallback reports whether a stored answer may replace a failure of upstream
// (stale-if-error, RFC 5861 section 4).
func (x *exchange) hasFallback() bool {
	if x.stale == nil && x.search != nil {
		if found, ok := x.search.Fallback(time.Now()); ok {
			x.stale = &found
		}
	}
	return x.stale != nil
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

// upstreamFailed reports whether err means that upstream could not be reached or did
// not answer in time. It is false for a refusal by the gateway.
func upstreamFailed(err error) bool {
	r, ok := errors.AsType[refusal](err)
	return ok && (r.code == record.CodeUpstreamUnreachable || r.code == record.CodeUpstreamTimeout)
}

// refresh fetches again the answer that x has just been served stale
// (stale-while-revalidate, RFC 5861 section 3). Then it keeps the record of x, which
// record sends it when x has ended. The client does not wait. If too many refreshes are
// under way, no request is sent.
//
// The upstream request belongs to x: it uses x's token, the budget, its client's quota
// if only upstream requests count, and its record.
func (p *Proxy) refresh(x *exchange) {
	background := p.newRefresh(x)
	x.fill = nil // belongs to the refresh now
	select {
	case p.refreshes <- struct{}{}:
	default:
		background.fill.Close(false)
		return
	}
	recorded := make(chan *record.Exchange, 1)
	x.recordTo = recorded
	go func() { // ends within the bounds of an upstream request and of x; Close waits for it
		defer func() { <-p.refreshes }()
		err := p.forwardWithoutClient(background)
		rec, done := <-recorded, &background.rec
		defer p.Keeper.Keep(rec)
		if err != nil {
			rec.Cause = fmt.Sprintf("refreshing a stale answer: %v", err)
		}
		rec.UpstreamAttempts, rec.UpstreamStatus, rec.UpstreamDuration = done.UpstreamAttempts, done.UpstreamStatus, done.UpstreamDuration
		rec.UpstreamBytes, rec.Attempts, rec.UpstreamError = done.UpstreamBytes, done.Attempts, done.UpstreamError
		rec.Charged, rec.Degraded = rec.Charged || done.Charged, rec.Degraded || done.Degraded
	}()
}

// newRefresh returns an exchange that repeats x without a client.
func (p *Proxy) newRefresh(x *exchange) *exchange {
	r := x.r.WithContext(context.WithoutCancel(x.r.Context()))
	r.Header = r.Header.Clone()
	r.Header.Del("If-None-Match") // the answer must be complete
	r.Body = http.NoBody
	background := &exchange{
		r: r, w: newResponseWriter(discardWriter{}), rec: x.rec, client: x.client,
		path: x.path, query: x.query, forceQuery: x.forceQuery, op: x.op, location: x.location, discovered: x.discovered, token: x.token, identity: x.identity,
		quota: x.quota, result: x.result, question: x.question, fill: x.fill, entered: time.Now(), stage: record.StageForward,
	}
	background.rec.Waited = 0
	background.body = newRequestBody(background.w, r, p.MaxBody)
	return background
}

// forwardWithoutClient forwards x. ReverseProxy reports a cut answer by a panic, which
// becomes an error here.
func (p *Proxy) forwardWithoutClient(x *exchange) (err error) {
	defer func() {
		if cut := recover(); cut != nil {
			err = fmt.Errorf("%w: %v", errFallback, cut)
		}
	}()
	ctx, cancel := context.WithTimeout(x.r.Context(), p.Timeout+idleTimeout)
	defer cancel()
	x.r = x.r.WithContext(ctx)
	return p.forward(x)
}

// Close permits no more requests without a client, and waits until those under way have
// ended and been recorded, or until ctx has ended. Call it after the last exchange; it
// cannot be undone.
func (p *Proxy) Close(ctx context.Context) error {
	for _, underWay := range []chan struct{}{p.refreshes, p.ttlRequests} {
		for range cap(underWay) {
			select {
			case underWay <- struct{}{}:
			case <-ctx.Done():
				return fmt.Errorf("waiting for requests without a client: %w", ctx.Err())
			}
		}
	}
	return nil
}

// discardWriter is an [http.ResponseWriter] that discards the answer.
type discardWriter struct{}

// Header implements [http.ResponseWriter].
func (discardWriter) Header() http.Header { return http.Header{} }

// Write implements [http.ResponseWriter].
func (discardWriter) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements [http.ResponseWriter].
func (discardWriter) WriteHeader(int) {}
