package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"osgate/record"
)

// errStandIn is an upstream answer for which what is stored and no longer fresh stands in.
var errStandIn = errors.New("upstream failed")

// standIn reports whether something stored stands in for a failure of upstream (stale-if-error, RFC 5861 section 4).
func (x *exchange) standIn() bool {
	if x.stale == nil && x.look != nil {
		if found, ok := x.look.Fallback(time.Now()); ok {
			x.stale = &found
		}
	}
	return x.stale != nil
}

// excuse returns why upstream gave no answer, unless what is stale could be served in its place.
func (p *Proxy) excuse(x *exchange) error {
	if !upstreamFailed(x.failure) || x.w.status != 0 || !x.standIn() {
		return x.failure
	}
	if x.fill != nil {
		x.fill.Fail(x.failure) // before the client takes its time
	}
	r, _ := errors.AsType[refusal](x.failure)
	x.status = x.stale.Status
	x.rec.Cause = record.Cause(r.cause)
	x.serve(x.stale.Entry)
	return nil
}

// upstreamFailed reports whether err says that upstream could not be reached or did not answer in time, and not that we refused.
func upstreamFailed(err error) bool {
	r, ok := errors.AsType[refusal](err)
	return ok && (r.code == codeUpstreamUnreachable || r.code == codeUpstreamTimeout)
}

// refresh asks upstream again for what x has just been served though it was no longer fresh (stale-while-revalidate, RFC 5861 section 3), and then
// keeps account of x, which record hands over when it is done. The client waits for nothing. Where there is no room for one more, nothing is asked.
//
// What it asks of upstream belongs to x: its token, the budget, its client's quota where only what reaches upstream counts, and its record.
func (p *Proxy) refresh(x *exchange) {
	again := p.again(x)
	x.fill = nil // the other one's now
	select {
	case p.refreshes <- struct{}{}:
	default:
		again.fill.Close(false)
		return
	}
	over := make(chan *record.Exchange, 1)
	x.over = over
	go func() { // ends within the bounds of an upstream request and of x; Close waits for it
		defer func() { <-p.refreshes }()
		err := p.repeat(again)
		rec, done := <-over, &again.rec
		defer p.Keeper.Keep(rec)
		if err != nil {
			rec.Cause = fmt.Sprintf("refreshing what was stale: %v", err)
		}
		rec.UpstreamAttempts, rec.UpstreamStatus, rec.UpstreamDuration = done.UpstreamAttempts, done.UpstreamStatus, done.UpstreamDuration
		rec.UpstreamBytes, rec.Attempts, rec.UpstreamError = done.UpstreamBytes, done.Attempts, done.UpstreamError
		rec.Charged, rec.Degraded = rec.Charged || done.Charged, rec.Degraded || done.Degraded
	}()
}

// again makes the exchange that repeats x for nobody.
func (p *Proxy) again(x *exchange) *exchange {
	r := x.r.WithContext(context.WithoutCancel(x.r.Context()))
	r.Header = r.Header.Clone()
	r.Header.Del("If-None-Match") // the answer is to be whole
	r.Body = http.NoBody
	again := &exchange{
		r: r, w: newResponseWriter(nowhere{}), rec: x.rec, client: x.client,
		path: x.path, query: x.query, asks: x.asks, op: x.op, location: x.location, discovered: x.discovered, token: x.token, who: x.who,
		quota: x.quota, result: x.result, question: x.question, fill: x.fill, entered: time.Now(), stage: record.StageForward,
	}
	again.rec.Waited = 0
	again.body = newRequestBody(again.w, r, p.MaxBody)
	return again
}

// repeat forwards x. ReverseProxy tells of an answer that was cut by a panic, which nobody waits for here.
func (p *Proxy) repeat(x *exchange) (err error) {
	defer func() {
		if cut := recover(); cut != nil {
			err = fmt.Errorf("%w: %v", errStandIn, cut)
		}
	}()
	ctx, cancel := context.WithTimeout(x.r.Context(), p.Timeout+idleTimeout)
	defer cancel()
	x.r = x.r.WithContext(ctx)
	return p.forward(x)
}

// Close lets no more be asked for behind clients' backs and waits until what is under way has ended and been recorded, or ctx has. It is for
// after the last exchange; it cannot be undone.
func (p *Proxy) Close(ctx context.Context) error {
	for _, underWay := range []chan struct{}{p.refreshes, p.lessons} {
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

// nowhere is an [http.ResponseWriter] that nobody reads.
type nowhere struct{}

// Header implements [http.ResponseWriter].
func (nowhere) Header() http.Header { return http.Header{} }

// Write implements [http.ResponseWriter].
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements [http.ResponseWriter].
func (nowhere) WriteHeader(int) {}
