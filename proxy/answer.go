package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"osgate/cache"
	"osgate/record"
)

// answer answers what we can say ourselves: statistics always, reads where the cache holds what upstream would say. It comes after token,
// policy and quota, so that a hit is as hard to get as a miss.
func (p *Proxy) answer(x *exchange) error {
	x.enter(record.StageCache)
	switch {
	case x.op.Stats():
		return p.answerStats(x)
	case x.objectStore():
		return p.answerCached(x)
	}
	return nil
}

// readable are the caller's organizations whose statistics the rules let it read: a sum over several (isMaster) leaves the others out.
func (p *Proxy) readable(x *exchange) []string {
	rules := p.Policy.Rules()
	if rules == nil || x.op.Ref.Environment != "" {
		return x.who.Organizations
	}
	facts, err := p.facts(x, rules)
	if err != nil {
		return []string{x.op.Ref.Organization} // authorize has judged it
	}
	return slices.DeleteFunc(slices.Clone(x.who.Organizations), func(organization string) bool {
		facts.Operation.Ref.Organization = organization
		return organization != x.op.Ref.Organization && !rules.Decide(facts).Allowed
	})
}

var (
	// ErrStatisticsBusy is what [Statistics] returns without reading where too many others are being answered.
	ErrStatisticsBusy = errors.New("too many statistics are being read")
	// ErrStatisticsAway is in the chain of what [Statistics] returns where its store cannot be read.
	ErrStatisticsAway = errors.New("the statistics store does not answer")
)

// answerStats answers the Stats API from our own counts.
func (p *Proxy) answerStats(x *exchange) error {
	body, mediaType, err := p.Statistics.Answer(x.r.Context(), x.location.Plane, x.op, p.readable(x), time.Now())
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	x.ourHeaders(h)
	x.answered = true
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(body) // a client that left is seen by record
	return nil
}

// prepare asks the cache ahead what a read needs to know, and returns the context in which that travels with the next question to the same Redis.
// Nothing is asked for what has no place yet.
func (p *Proxy) prepare(x *exchange) context.Context {
	ctx := x.r.Context()
	if x.location.Region == "" {
		return ctx
	}
	p.ask(x)
	if x.op.Writes() || x.who.Stale { // a token that the control plane cannot vouch for now is for upstream to judge
		return ctx
	}
	x.look = p.Cache.Prepare(x.question)
	return x.look.WithRead(ctx)
}

// ask puts x's question to the cache into words.
func (p *Proxy) ask(x *exchange) {
	x.question = cache.Question{
		Location:  x.location.String(),
		Operation: x.op,
		Scope:     p.scope(x),
		Shared:    p.SharedScope,
		Token:     x.who.Hash,
		Client:    x.rec.Principal,
		Header:    x.r.Header,
		HasBody:   x.r.ContentLength != 0,
	}
}

// answerCached looks into the cache for a read, waits where another is asking the very same, and prepares the filling of a miss.
func (p *Proxy) answerCached(x *exchange) error {
	if x.question.Location == "" { // it had no place until now
		p.prepare(x)
	}
	if x.look == nil {
		return nil
	}
	found := x.look.Look(x.r.Context(), time.Now())
	if found.Wait {
		x.status = found.Status // of a failure that is shared too
		var err error
		if found, err = p.follow(x); err != nil {
			return err
		}
	}
	x.status, x.fill = found.Status, found.Fill
	switch {
	case found.Entry != nil:
		if found.Fill != nil {
			p.refresh(x) // begun before the client gets anything, because it may take its time
		}
		x.serve(found.Entry)
	case found.OnlyIfCached:
		return notCached("only-if-cached was asked for and nothing fresh is cached")
	}
	return nil
}

// notCached refuses what is to be answered from the cache alone and is not there (RFC 9111
// section 5.2.1.7). Nothing was sent upstream.
func notCached(detail string) refusal {
	return refusal{code: codeUpstreamTimeout, title: "Not in the cache", proxy: proxyInternal, detail: detail}
}

// follow waits for the fetch that another request makes, a little longer than that may take: who waits is not to ask what hangs once more. Where upstream
// fails, what is stale stands in for each as it does for whoever asked.
func (p *Proxy) follow(x *exchange) (cache.Result, error) {
	found, err := x.look.Follow(x.r.Context(), p.Timeout+p.MaxWait+2*dialTimeout)
	if errors.Is(err, cache.ErrLate) {
		err = refusal{code: codeUpstreamTimeout, detail: "Object Store did not answer in time", cause: err}
	}
	if upstreamFailed(err) && x.standIn() {
		x.rec.Cause = record.Cause(err)
		return *x.stale, nil
	}
	return found, err
}

// serve answers with an entry.
func (x *exchange) serve(e *cache.Entry) {
	x.answered, x.rec.Hit = true, true
	x.ourHeaders(x.w.Header())
	_, _ = e.Serve(x.w, x.r.Header, time.Now()) // a client that left is seen by record
}
