package proxy

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"osgate/objectstore"
	"osgate/record"
)

// ttlWait is how long an answer waits for its store's TTL, without which it is not kept.
const ttlWait = 250 * time.Millisecond

// learnTTL learns the TTL of the store of the value that x has read, if the cache can keep
// the value only then. It waits until the TTL is known or cannot be learned, for ttlWait at
// most. What is absent needs no TTL.
func (p *Proxy) learnTTL(ctx context.Context, x *exchange, status int) {
	if x.fill == nil || status != http.StatusOK && status != http.StatusNoContent {
		return
	}
	end, done := p.Cache.LearnTTL(x.question, time.Now())
	if done != nil {
		p.teach(x, done)
	}
	if end == nil {
		return
	}
	timer := time.NewTimer(ttlWait)
	defer timer.Stop()
	select {
	case <-end:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// teach requests the store of x in a goroutine of its own, and calls done at the end of
// that. If there is no room for one more request, it requests nothing.
func (p *Proxy) teach(x *exchange, done func()) {
	select {
	case p.lessons <- struct{}{}:
	default:
		done()
		return
	}
	lesson, err := p.lesson(x)
	go func() { // ends within the bounds of an upstream request; Close waits for it
		defer func() { <-p.lessons }()
		defer done()
		if err == nil {
			p.fetchStore(lesson)
		}
	}()
}

// lesson returns the exchange that requests the store of x from upstream, with the token
// of x's client.
func (p *Proxy) lesson(x *exchange) (*exchange, error) {
	op, err := objectstore.Parse(http.MethodGet, x.op.StorePath(), "")
	if err != nil {
		return nil, err
	}
	now := time.Now()
	r := x.r.WithContext(context.WithoutCancel(x.r.Context()))
	r.Method, r.Body, r.ContentLength, r.Trailer = http.MethodGet, http.NoBody, 0, nil
	r.Header = http.Header{"Authorization": {x.token.Header()}, "Accept": {"application/json"}, "User-Agent": {pseudonym}}
	lesson := &exchange{
		r: r, w: newResponseWriter(nowhere{}), client: x.client, op: op, path: op.Path(),
		location: x.location, discovered: x.discovered, token: x.token, who: x.who, entered: now, stage: record.StageLimit,
	}
	lesson.body = newRequestBody(lesson.w, r, p.MaxBody)
	lesson.rec = record.Exchange{
		ID: requestID(nil), CausedBy: x.rec.ID, Start: now, Protocol: x.rec.Protocol, RemoteAddr: x.rec.RemoteAddr, ClientAddr: x.rec.ClientAddr,
		Method: r.Method, Route: op.Route(), Surface: x.rec.Surface, Operation: op.Kind.String(), Plane: x.rec.Plane, Region: x.rec.Region,
		Organization: op.Ref.Organization, Environment: op.Ref.Environment, Store: op.Ref.Store,
		Principal: x.rec.Principal, Client: x.rec.Client, User: x.rec.User,
	}
	p.ask(lesson)
	lesson.fill = p.Cache.TTLFill(lesson.question, now)
	return lesson, nil
}

// fetchStore sends a lesson, which is an exchange of the gateway's own, with its own
// record: it takes a unit of the budget and none of the client's quota. The policy does not
// decide about it, because no client gets the answer.
func (p *Proxy) fetchStore(lesson *exchange) {
	defer p.Keeper.Keep(&lesson.rec)
	err := p.repeat(lesson)
	lesson.enter(lesson.stage)
	lesson.rec.Duration, lesson.rec.Status = time.Since(lesson.rec.Start), lesson.w.status
	if err != nil {
		r := refusalOf(err)
		lesson.rec.Status, lesson.rec.Code, lesson.rec.Cause = cmp.Or(r.status, answers[r.code].status), string(r.code), record.Cause(r.cause)
	}
}
