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
	wants := demandsOf(q.Header)
	result := c.look(ctx, &q, &wants, now)
	c.counts.looked(&result)
	if wants.onlyIfCached && result.Entry == nil {
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
	}
	return false
}

// look is Look for an operation that may be cached.
func (c *Cache) look(ctx context.Context, q *Question, wants *demands, now time.Time) Result {
	o := &q.Operation
	limit := c.freshness(q)
	switch {
	case o.CacheKind() == objectstore.CacheNone:
		return past(ForwardBypass, detailQuery)
	case limit == 0 && !teaches(o):
		return past(ForwardBypass, detailDisabled)
	case wants.noStore:
		return past(ForwardRequest, detailNoStore)
	case len(q.Header["If-Match"]) > 0: // not for a cache to evaluate (RFC 9111 section 4.3.2)
		return past(ForwardRequest, detailIfMatch)
	}
	on := resourcesOf(q.Location, o.Ref, o.DependsOn())
	reading, err := c.options.Coherence.Read(ctx, on)
	switch {
	case err != nil:
		return past(ForwardBypass, detailCoherence)
	case reading.Closed != "":
		return past(ForwardBypass, reading.Closed)
	}
	key := entryKey(q)
	fill := func(forward Forward, detail string) Result {
		return Result{Status: Status{Forward: forward, Detail: detail}, Fill: &Fill{
			cache: c, key: key, operation: *o, location: q.Location, shared: q.Shared, stamp: reading.Stamp, on: on, asked: now, limit: limit,
		}}
	}
	switch {
	case limit == 0:
		return fill(ForwardBypass, detailDisabled)
	case wants.noCache:
		return fill(ForwardRequest, detailNoCache)
	}
	return c.choose(q, wants, key, reading.Stamp, now, fill)
}

func past(forward Forward, detail string) Result {
	return Result{Status: Status{Forward: forward, Detail: detail}}
}

// choose serves the entry if all that must be true is.
func (c *Cache) choose(q *Question, wants *demands, key digest, stamp Stamp, now time.Time, fill func(Forward, string) Result) Result {
	e, ok := c.entries.GetIfPresent(key)
	if !ok || !admit(e.stamp, stamp) {
		return fill(ForwardMiss, "")
	}
	age, left := e.Age(now), e.Left(now)
	switch granted, held := c.grants.alive(q.Token, grantPlace(q), now); {
	case !granted && held:
		return fill(ForwardMiss, detailGrant)
	case !granted: // not said: that something is stored is none of this token's business
		return fill(ForwardMiss, "")
	case left <= 0:
		return fill(ForwardStale, "")
	case !wants.accepts(age, left):
		return fill(ForwardRequest, detailMaxAge)
	}
	return Result{Entry: e, Status: Status{Hit: true, TTL: left}}
}

// teaches reports whether the answer is worth a look although it is not stored.
func teaches(o *objectstore.Operation) bool {
	return o.Kind == objectstore.GetStore || o.Kind == objectstore.ListStores
}

// freshness is how long an answer to q is fresh, upstream's own word apart: what is configured for its kind, and not longer than the values
// of its store live.
func (c *Cache) freshness(q *Question) time.Duration {
	switch q.Operation.CacheKind() {
	case objectstore.CacheKey:
		return c.options.KeyTTL
	case objectstore.CacheStores:
		return c.options.StoresTTL
	case objectstore.CacheKeys:
		return c.options.KeysTTL
	}
	return 0
}
