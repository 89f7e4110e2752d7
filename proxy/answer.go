package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"osgate/cache"
	"osgate/policy"
	"osgate/record"
)

// answer answers requests that need no upstream: the Stats API always, reads if the
// cache has the answer. It runs after identification, policy and quota, so that a hit
// needs the same rights as a miss.
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

// readable returns those of the client's organizations whose statistics the policy
// permits the client to read: a sum over several (isMaster) leaves out the rest.
func (p *Proxy) readable(x *exchange) []string {
	rules := p.Policy.Rules()
	if rules == nil || x.op.Ref.Environment != "" {
		return x.identity.Organizations
	}
	facts, err := p.facts(x, rules)
	if err != nil {
		return []string{x.op.Ref.Organization} // authorize has permitted it
	}
	return slices.DeleteFunc(slices.Clone(x.identity.Organizations), func(organization string) bool {
		facts.Operation.Ref.Organization = organization
		return organization != x.op.Ref.Organization && !rules.Decide(facts).Allowed
	})
}

// facts returns the facts about x that the applicable rules read, and no other: a fact
// that no rule reads costs nothing.
func (p *Proxy) facts(x *exchange, rules *policy.Rules) (policy.Request, error) {
	needs := rules.NeedsOf(x.op)
	r := p.bodiless(x, needs)
	return r, x.bodyFacts(&r, needs)
}

var (
	// ErrStatisticsBusy is the error of [Statistics] if too many requests for
	// statistics are under way. Nothing was read.
	ErrStatisticsBusy = errors.New("too many requests for statistics are under way")
	// ErrStatisticsUnavailable is in the error chain of [Statistics] if the statistics
	// store cannot be read.
	ErrStatisticsUnavailable = errors.New("the statistics store does not answer")
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
	_, _ = x.w.Write(body) // record notices a client that has left
	return nil
}

// prepare creates the cache lookup of a read ahead, and returns a context that lets its
// read of generations travel in the next round trip to the same Redis. It does nothing
// while the region is unknown.
func (p *Proxy) prepare(x *exchange) context.Context {
	ctx := x.r.Context()
	if x.location.Region == "" {
		return ctx
	}
	p.setQuestion(x)
	if x.op.Writes() || x.identity.Stale { // for a stale identity upstream decides, not the cache
		return ctx
	}
	x.search = p.Cache.Prepare(x.question)
	return x.search.WithRead(ctx)
}

// setQuestion sets the question that x has for the cache.
func (p *Proxy) setQuestion(x *exchange) {
	x.question = cache.Question{
		Location:  x.location.String(),
		Operation: x.op,
		Scope:     p.scope(x),
		Shared:    p.SharedScope,
		Token:     x.identity.Hash,
		Granted:   x.brokered(),
		Client:    x.rec.Principal,
		Header:    x.r.Header,
		HasBody:   x.r.ContentLength != 0,
	}
}

// brokeredScope is the scope that the clients without an Anypoint token share: what the
// gateway's own token read never answers a client's own token, nor the other way round.
const brokeredScope = "brokered"

// scope returns the scope of the cache entries that may answer the exchange: that of
// its principal (client and user), or "" for all principals in the environment, whose
// rights the cache checks itself. It identifies the method and the issuer too if they
// are not Anypoint's. Parts are length-prefixed, so that no id can look
// like two.
func (p *Proxy) scope(x *exchange) string {
	parts := []string{x.location.Plane, x.identity.Client, x.identity.User}
	switch {
	case p.SharedScope && x.brokered():
		parts = []string{brokeredScope}
	case p.SharedScope:
		return ""
	case x.brokered():
		parts = append(parts, string(x.identity.Method), x.identity.Issuer)
	}
	return lengthPrefixed(parts...)
}

// lengthPrefixed joins parts, each after its length.
func lengthPrefixed(parts ...string) string {
	size := 0
	for _, part := range parts {
		size += 2 + len(part)
	}
	var b strings.Builder
	b.Grow(size)
	for _, part := range parts {
		b.WriteByte(byte(len(part) >> 8))
		b.WriteByte(byte(len(part)))
		b.WriteString(part)
	}
	return b.String()
}

// answerCached looks up a read in the cache, waits if another request is fetching the
// same answer, and on a miss prepares to store the answer.
func (p *Proxy) answerCached(x *exchange) error {
	if x.question.Location == "" { // the region was unknown until now
		p.prepare(x)
	}
	if x.search == nil {
		return nil
	}
	found := x.search.Look(x.r.Context(), time.Now())
	if found.Wait {
		x.status = found.Status // for a shared failure too
		var err error
		if found, err = p.follow(x); err != nil {
			return err
		}
	}
	x.status, x.fill = found.Status, found.Fill
	switch {
	case found.Entry != nil:
		if found.Fill != nil {
			p.refresh(x) // before the answer is written, because a client may read slowly
		}
		x.serveEntry(found.Entry)
	case found.OnlyIfCached:
		return notCached("the request has only-if-cached, and no fresh answer is stored")
	}
	return nil
}

// refresh fetches again the answer that x has just been served stale
// (stale-while-revalidate, RFC 5861 section 3). Then it keeps the record of x, which
// record sends it when x has ended. The client does not wait. If too many refreshes are
// under way, no request is sent.
//
// The upstream request belongs to x: it uses x's token, the budget, its client's quota
// if only upstream requests count, and its record.
func (p *Proxy) refresh(x *exchange) {
	own := p.newRefresh(x)
	x.fill = nil // belongs to the refresh now
	select {
	case p.refreshes <- struct{}{}:
	default:
		own.fill.Close(false)
		return
	}
	recorded := make(chan *record.Exchange, 1)
	x.recordTo = recorded
	go func() { // ends within the bounds of an upstream request and of x; Close waits for it
		defer func() { <-p.refreshes }()
		err := p.forwardWithoutClient(own)
		rec := <-recorded
		defer p.Keeper.Keep(rec)
		if err != nil {
			rec.Cause = fmt.Sprintf("refreshing a stale answer: %v", err)
		}
		rec.AddRefresh(&own.rec)
	}()
}

// newRefresh returns an exchange that repeats x without a client.
func (p *Proxy) newRefresh(x *exchange) *exchange {
	header := x.r.Header.Clone()
	header.Del("If-None-Match") // the answer must be complete
	own := p.ownRequest(x, header)
	own.rec, own.rec.Waited = x.rec, 0
	own.quota, own.result, own.question, own.fill, own.stage =
		x.quota, x.result, x.question, x.fill, record.StageForward
	return own
}

// notCached returns the refusal of a request that only the cache may answer, if there
// is no usable entry (RFC 9111 section 5.2.1.7). It was not sent upstream.
func notCached(detail string) refusal {
	return refusal{code: record.CodeUpstreamTimeout, title: "Not in the cache", proxy: proxyInternal, detail: detail}
}

// follow waits for the fetch of another request, a little longer than that may take:
// otherwise each waiting request would repeat a fetch that hangs. If upstream fails, a
// stale entry answers the waiting requests as it answers the first.
func (p *Proxy) follow(x *exchange) (cache.Result, error) {
	found, err := x.search.Follow(x.r.Context(), p.Timeout+p.MaxWait+2*dialTimeout)
	if errors.Is(err, cache.ErrLate) {
		err = refusal{code: record.CodeUpstreamTimeout, detail: "Object Store did not answer in time", cause: err}
	}
	if upstreamFailed(err) && x.hasFallback() {
		x.rec.Cause = record.Cause(err)
		return *x.stale, nil
	}
	return found, err
}

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

// upstreamFailed reports whether err means that upstream could not be reached or did
// not answer in time. It is false for a refusal by the gateway.
func upstreamFailed(err error) bool {
	r, ok := errors.AsType[refusal](err)
	return ok && (r.code == record.CodeUpstreamUnreachable || r.code == record.CodeUpstreamTimeout)
}

// serveEntry answers with a cache entry.
func (x *exchange) serveEntry(e *cache.Entry) {
	x.answered, x.rec.Hit = true, true
	x.ourHeaders(x.w.Header())
	_, _ = e.Serve(x.w, x.r.Header, time.Now()) // record notices a client that has left
}
