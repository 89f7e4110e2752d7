package proxy

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"osgate/cache"
	"osgate/internal/via"
	"osgate/objectstore"
	"osgate/record"
)

// ownRequest returns an exchange without a client that sends x's request upstream, with
// this header and without a body.
func (p *Proxy) ownRequest(x *exchange, header http.Header) *exchange {
	r := x.r.WithContext(context.WithoutCancel(x.r.Context()))
	r.Header, r.Body = header, http.NoBody
	own := &exchange{r: r, sender: x.sender, target: x.target, entered: time.Now()}
	own.attach(discardWriter{}, p.MaxBody)
	return own
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

// learnTTL requests the TTL of the store of a value that x has read, if the cache needs
// it to store the value. It waits until the TTL is known or the request for it has
// ended, for [cache.TTLWait] at most. An absent value needs no TTL.
func (p *Proxy) learnTTL(ctx context.Context, x *exchange, status int) {
	if x.fill == nil || status != http.StatusOK && status != http.StatusNoContent {
		return
	}
	end, done := p.Cache.LearnTTL(x.question, time.Now())
	if done != nil {
		p.requestTTL(x, done)
	}
	if end == nil {
		return
	}
	timer := time.NewTimer(cache.TTLWait)
	defer timer.Stop()
	select {
	case <-end:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// requestTTL requests the store of x in a goroutine of its own, and calls done when
// that has ended. It sends no request if too many are under way.
func (p *Proxy) requestTTL(x *exchange, done func()) {
	select {
	case p.ttlRequests <- struct{}{}:
	default:
		done()
		return
	}
	request, err := p.newTTLRequest(x)
	go func() { // ends within the bounds of an upstream request; Close waits for it
		defer func() { <-p.ttlRequests }()
		defer done()
		if err == nil {
			p.fetchStore(request)
		}
	}()
}

// newTTLRequest returns the exchange that requests the store of x from upstream, with
// the token of x's client.
func (p *Proxy) newTTLRequest(x *exchange) (*exchange, error) {
	op, err := objectstore.Parse(http.MethodGet, x.op.StorePath(), "")
	if err != nil {
		return nil, err
	}
	own := p.ownRequest(x, x.storeHeader())
	own.r.Method, own.r.ContentLength, own.r.Trailer = http.MethodGet, 0, nil
	own.path, own.query, own.forceQuery = op.Path(), "", false
	own.rec, own.stage = x.rec.Derive(requestID(nil), http.MethodGet, own.entered), record.StageLimit
	own.setOperation(op)
	p.setQuestion(own)
	own.fill = p.Cache.TTLFill(own.question, own.entered)
	own.status.Forward = record.ForwardBypass
	return own, nil
}

// storeHeader returns the header of a request for the store of x that the gateway makes
// itself, with the token of x's client.
func (x *exchange) storeHeader() http.Header {
	return http.Header{"Authorization": {x.token.Header()}, "Accept": {"application/json"}, "User-Agent": {via.Name}}
}

// fetchStore forwards an exchange of newTTLRequest, which is the gateway's own and has
// its own record: it takes a unit of the budget and none of the client's quota. The
// policy is not evaluated, because no client gets the answer.
func (p *Proxy) fetchStore(request *exchange) {
	defer p.Keeper.Keep(&request.rec)
	err := p.forwardWithoutClient(request)
	request.enter(request.stage)
	request.rec.Duration, request.rec.Status = time.Since(request.rec.Start), request.w.status
	if err != nil {
		r := refusalOf(err)
		request.rec.Status, request.rec.Code, request.rec.Cause =
			cmp.Or(r.status, answers[r.code].status), r.code, record.Cause(r.cause)
	}
}
