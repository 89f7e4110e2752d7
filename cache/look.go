package cache

import (
	"context"
	"time"

	"osgate/objectstore"
)

// Details of a [Status].
const (
	detailDisabled  = "disabled"
	detailQuery     = "query"
	detailIfMatch   = "if-match"
	detailNoStore   = "no-store"
	detailNoCache   = "no-cache"
	detailMaxAge    = "max-age"
	detailGrant     = "grant-expired"
	detailCoherence = "coherence-unavailable"
)

// Look answers q from the store or says how to go on. Now is the moment of the call. It never fails: where coherence is not known, the
// request goes past the cache.
func (c *Cache) Look(ctx context.Context, q Question, now time.Time) Result {
	if !ever(&q.Operation) {
		return Result{}
	}
	s := search{cache: c, question: q, now: now, wants: demandsOf(q.Header), limit: c.freshness(&q)}
	result := s.run(ctx)
	c.counts.looked(&result)
	if s.wants.onlyIfCached && result.Entry == nil {
		return Result{OnlyIfCached: true} // an answer of our own has no Cache-Status (RFC 9211 section 2)
	}
	return result
}

// ever reports whether the kind of operation is one that is cached, some requests of it at least.
func ever(o *objectstore.Operation) bool {
	switch o.Kind {
	case objectstore.ListRegions, objectstore.ListStores, objectstore.GetStore, objectstore.ListPartitions, objectstore.ListKeys,
		objectstore.HeadKey, objectstore.GetKey:
		return !o.Confirmable
	default:
		return false
	}
}

// search is a Look under way.
type search struct {
	cache    *Cache
	question Question
	wants    demands
	now      time.Time
	limit    time.Duration // freshness of the kind
	key      digest
	on       Resources
	stamp    Stamp
}

// run is the search for an operation that may be cached.
func (s *search) run(ctx context.Context) Result {
	o := &s.question.Operation
	switch {
	case o.CacheKind() == objectstore.CacheNone:
		return past(ForwardBypass, detailQuery)
	case s.limit == 0 && !teaches(o):
		return past(ForwardBypass, detailDisabled)
	case s.wants.noStore:
		return past(ForwardRequest, detailNoStore)
	case len(s.question.Header["If-Match"]) > 0: // not for a cache to evaluate (RFC 9111 section 4.3.2)
		return past(ForwardRequest, detailIfMatch)
	}
	s.on = resourcesOf(s.question.Location, o.Ref, o.DependsOn())
	reading, err := s.cache.options.Coherence.Read(ctx, s.on)
	switch {
	case err != nil:
		return past(ForwardBypass, detailCoherence)
	case reading.Closed != "":
		return past(ForwardBypass, reading.Closed)
	}
	s.stamp, s.key = reading.Stamp, entryKey(&s.question)
	switch {
	case s.limit == 0:
		return s.fill(ForwardBypass, detailDisabled)
	case s.wants.noCache:
		return s.fill(ForwardRequest, detailNoCache)
	}
	return s.choose()
}

// choose serves the entry if all that must be true is.
func (s *search) choose() Result {
	e, ok := s.cache.entries.GetIfPresent(s.key)
	if !ok || !admit(e.stamp, s.stamp) {
		return s.fill(ForwardMiss, "")
	}
	age, left := e.Age(s.now), e.Left(s.now)
	switch granted, held := s.cache.grants.alive(s.question.Token, grantPlace(&s.question), s.now); {
	case !granted && held:
		return s.fill(ForwardMiss, detailGrant)
	case !granted: // not said: that something is stored is none of this token's business
		return s.fill(ForwardMiss, "")
	case left <= 0:
		return s.fill(ForwardStale, "")
	case !s.wants.accepts(age, left):
		return s.fill(ForwardRequest, detailMaxAge)
	}
	return Result{Entry: e, Status: Status{Hit: true, TTL: left}}
}

// past is a request that goes upstream and is not stored.
func past(forward Forward, detail string) Result {
	return Result{Status: Status{Forward: forward, Detail: detail}}
}

// fill is a request that goes upstream and may be stored.
func (s *search) fill(forward Forward, detail string) Result {
	return Result{Status: Status{Forward: forward, Detail: detail}, Fill: &Fill{
		cache: s.cache, key: s.key, operation: s.question.Operation, location: s.question.Location, shared: s.question.Shared,
		stamp: s.stamp, on: s.on, asked: s.now, limit: s.limit,
	}}
}

// teaches reports whether the answer is worth a look although it is not stored.
func teaches(o *objectstore.Operation) bool {
	return o.Kind == objectstore.GetStore || o.Kind == objectstore.ListStores
}

// TTL returns how long an answer to o is fresh by configuration, 0 where it is not cached.
func (c *Cache) TTL(o objectstore.Operation) time.Duration {
	return c.freshness(&Question{Operation: o})
}

// freshness is how long an answer to q is fresh, upstream's own word apart: what is configured for its kind. Values do not live longer than
// their store lets them, which [Fill] knows.
func (c *Cache) freshness(q *Question) time.Duration {
	switch q.Operation.CacheKind() {
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
