package cache

import (
	"context"
	"net/http"
	"time"

	"osgate/objectstore"
)

// Details of a [Status].
const (
	detailDisabled  = "disabled"
	detailRule      = "rule"
	detailQuery     = "query"
	detailIfMatch   = "if-match"
	detailBody      = "body"
	detailNoStore   = "no-store"
	detailNoCache   = "no-cache"
	detailMaxAge    = "max-age"
	detailGrant     = "grant-expired"
	detailCoherence = "coherence-unavailable"
	detailTTL       = "ttl-unknown"
)

// Look answers q from the store or says how to go on. Now is the moment of the call. It never fails: where coherence is not known, the
// request goes past the cache. It is for one request by itself: it neither waits for the fetch of another nor serves what is no longer fresh, and
// where the request asks more of the store of generations, it costs a round trip more than a [Search].
func (c *Cache) Look(ctx context.Context, q Question, now time.Time) Result {
	s := c.prepare(q)
	s.single = true
	return s.Look(ctx, now)
}

// Prepare returns the search for an answer to q, with nothing asked yet. It costs no waiting and never fails.
func (c *Cache) Prepare(q Question) *Search {
	s := c.prepare(q)
	return &s
}

// Search is a Look in two steps, for a request that waits for other things between them: [Search.WithRead] sends the question for the
// generations with what is asked of the same Redis anyway, [Search.Look] ends it. Along may be left out. A Search is for one request and one
// goroutine at a time.
type Search struct {
	cache       *Cache
	question    Question
	wants       demands
	detail      string        // why limit is 0
	limit       time.Duration // freshness of the kind
	on          Resources     // what the answer depends on; none: nothing need be asked
	pendingRead PendingRead   // nil: nothing travels
	known       Result        // the result where nothing need be asked
	single      bool          // nothing is shared with other requests

	now    time.Time // when the generations were read
	key    digest
	stamp  Stamp
	target digest // for which the token needs a grant
	token  ID     // what the shared place calls the token; zero: it said nothing

	flight *flight // to be waited for
	missed Status  // why, if it brings nothing, the request has to go upstream itself
	stale  *Entry  // what may stand in where upstream fails
}

// WithRead returns a context for what is asked on behalf of the request before Look, such as its quota: the question for the generations
// travels in the same round trips. It is ctx itself where there is nothing to ask, or nothing that travels.
func (s *Search) WithRead(ctx context.Context) context.Context {
	if s.on.n == 0 {
		return ctx
	}
	ctx, s.pendingRead = s.startRead(ctx)
	return ctx
}

// Look answers the question from the store or says how to go on, at the moment now. It never fails: where coherence is not known, the request
// goes past the cache. Ctx need not be the one of Along. To look again asks again.
func (s *Search) Look(ctx context.Context, now time.Time) Result {
	if !cacheable(&s.question.Operation) {
		return Result{}
	}
	result := s.known
	if s.on.n > 0 {
		s.now = now
		result = s.run(ctx)
	}
	s.cache.counts.looked(&result)
	if s.wants.onlyIfCached && result.Entry == nil { // its Fill holds nothing
		return Result{OnlyIfCached: true} // an answer of our own has no Cache-Status (RFC 9211 section 2)
	}
	return result
}

// cacheable reports whether the kind of operation is one that is cached, some requests of it at least.
func cacheable(o *objectstore.Operation) bool {
	switch o.Kind {
	case objectstore.ListRegions, objectstore.ListStores, objectstore.GetStore, objectstore.ListPartitions, objectstore.ListKeys,
		objectstore.HeadKey, objectstore.GetKey:
		return !o.Confirmable
	default:
		return false
	}
}

// prepare decides what must be asked.
func (c *Cache) prepare(q Question) Search {
	s := Search{cache: c, question: q}
	o := &s.question.Operation
	if !cacheable(o) {
		return s
	}
	s.wants = c.demandsOf(q.Header)
	s.limit, s.detail = c.freshness(&s.question)
	switch {
	case o.CacheKind() == objectstore.CacheNone:
		s.known = noEntry(ForwardBypass, detailQuery)
	case s.limit == 0 && !describesStores(o):
		s.known = noEntry(ForwardBypass, s.detail)
	case q.Alone: // what its body asks for is not in the entry's name
		s.known = noEntry(ForwardBypass, detailBody)
	case s.wants.noStore:
		s.known = noEntry(ForwardRequest, detailNoStore)
	case len(q.Header["If-Match"]) > 0: // not for a cache to evaluate (RFC 9111 section 4.3.2)
		s.known = noEntry(ForwardRequest, detailIfMatch)
	default:
		s.on = resourcesOf(q.Location, o.Ref, o.DependsOn())
	}
	return s
}

// run is the search where generations are asked for.
func (s *Search) run(ctx context.Context) Result {
	reading, err := s.read(ctx)
	switch {
	case err != nil:
		return noEntry(ForwardBypass, detailCoherence)
	case reading.Closed != "":
		return noEntry(ForwardBypass, reading.Closed)
	}
	s.stamp, s.key = reading.Stamp, entryKey(&s.question)
	switch {
	case s.limit == 0:
		return s.fill(ForwardBypass, s.detail)
	case s.wants.noCache:
		return s.fill(ForwardRequest, detailNoCache)
	}
	return s.choose(ctx, s.now)
}

// choose serves what is stored, or says how upstream is to be asked.
func (s *Search) choose(ctx context.Context, now time.Time) Result {
	found := s.find(now)
	switch {
	case found.Entry != nil:
		return s.refresh(found)
	case found.Status.Forward == ForwardRequest: // the client wants an answer of its own
		return s.fill(ForwardRequest, found.Status.Detail)
	}
	return s.fetch(ctx, found.Status, now)
}

// find returns the entry if all that must be true is, else why the request has to go upstream.
func (s *Search) find(now time.Time) Result {
	e, ok := s.cache.entries.GetIfPresent(s.key)
	if !ok || !admit(e.stamp, s.stamp) {
		return noEntry(ForwardMiss, "")
	}
	return s.serve(e, now)
}

// serve is find of an entry whose stamp is the one that was read.
func (s *Search) serve(e *Entry, now time.Time) Result {
	age := e.Age(now)
	left := min(e.Left(now), s.limit-age) // a rule may have come since it was stored
	switch granted, held := s.granted(now); {
	case !granted && held:
		return noEntry(ForwardMiss, detailGrant)
	case !granted: // not said: that something is stored is none of this token's business
		return noEntry(ForwardMiss, "")
	case left <= 0:
		return s.outdated(e, age, left)
	case !s.wants.accepts(age, left):
		return noEntry(ForwardRequest, detailMaxAge)
	}
	return Result{Entry: e, Status: Status{Hit: true, TTL: left}}
}

// past is a request that goes upstream and is not stored.
func noEntry(forward Forward, detail string) Result {
	return Result{Status: Status{Forward: forward, Detail: detail}}
}

// fill is a request that goes upstream and may be stored.
func (s *Search) fill(forward Forward, detail string) Result {
	return Result{Status: Status{Forward: forward, Detail: detail}, Fill: &Fill{
		cache: s.cache, key: s.key, operation: s.question.Operation, location: s.question.Location, shared: s.question.Shared,
		stamp: s.stamp, on: s.on, requestedAt: s.now, limit: s.limit, off: s.detail,
	}}
}

// describesStores reports whether the answer is worth a look although it is not stored.
func describesStores(o *objectstore.Operation) bool {
	return o.Kind == objectstore.GetStore || o.Kind == objectstore.ListStores
}

// TTL returns how long an answer to o is fresh by configuration, 0 where it is not cached.
func (c *Cache) TTL(o objectstore.Operation) time.Duration {
	ttl, _ := c.freshness(&Question{Operation: o})
	return ttl
}

// freshness returns how long an answer to q is fresh, upstream's own word apart: what is
// configured for its kind, or less by a rule. Where it is 0, detail says why. Values do
// not live longer than their store lets them, which [Fill] knows.
func (c *Cache) freshness(q *Question) (limit time.Duration, detail string) {
	limit, off := c.ruled(c.kindTTL(&q.Operation), &q.Operation)
	if off {
		return 0, detailRule
	}
	return limit, detailDisabled
}

// kindTTL returns what is configured for the kind of answer that o has.
func (c *Cache) kindTTL(o *objectstore.Operation) time.Duration {
	switch o.CacheKind() {
	case objectstore.CacheKey:
		return c.options.KeyTTL
	case objectstore.CacheStores:
		return c.options.StoresTTL
	case objectstore.CacheKeys:
		return c.options.KeysTTL
	default:
		return 0
	}
}

// demandsOf returns what a client's header demands and may demand.
func (c *Cache) demandsOf(h http.Header) demands {
	d := demandsOf(h)
	if c.options.IgnoreClients {
		return demands{onlyIfCached: d.onlyIfCached, hasMaxStale: d.hasMaxStale, maxStale: d.maxStale}
	}
	return d
}
