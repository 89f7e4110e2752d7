package proxy

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"osgate/cache"
	"osgate/objectstore"
	"osgate/record"
)

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
	now := time.Now()
	r := x.r.WithContext(context.WithoutCancel(x.r.Context()))
	r.Method, r.Body, r.ContentLength, r.Trailer = http.MethodGet, http.NoBody, 0, nil
	r.Header = http.Header{"Authorization": {x.token.Header()}, "Accept": {"application/json"}, "User-Agent": {pseudonym}}
	request := &exchange{
		r: r, w: newResponseWriter(discardWriter{}), client: x.client, op: op, path: op.Path(),
		location: x.location, discovered: x.discovered, token: x.token, identity: x.identity, entered: now, stage: record.StageLimit,
	}
	request.body = newRequestBody(request.w, r, p.MaxBody)
	request.rec = record.Exchange{
		ID: requestID(nil), CausedBy: x.rec.ID, Start: now, Protocol: x.rec.Protocol, RemoteAddr: x.rec.RemoteAddr, ClientAddr: x.rec.ClientAddr,
		Method: r.Method, Route: op.Route(), Surface: x.rec.Surface, Operation: op.Kind.String(), Plane: x.rec.Plane, Region: x.rec.Region,
		Organization: op.Ref.Organization, Environment: op.Ref.Environment, Store: op.Ref.Store,
		Principal: x.rec.Principal, Client: x.rec.Client, User: x.rec.User,
	}
	p.setQuestion(request)
	request.fill = p.Cache.TTLFill(request.question, now)
	return request, nil
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
		request.rec.Status, request.rec.Code, request.rec.Cause = cmp.Or(r.status, answers[r.code].status), r.code, record.Cause(r.cause)
	}
}
