package cache

import (
	"crypto/sha256"
	"time"

	"osgate/objectstore"
)

const (
	// ttlPart is the part of its store's TTL for which a value is fresh, 1 divided by
	// this: a value that may have expired since is served for no longer.
	ttlPart = 100

	// ttlRetry is how long after a failed fetch of a store's TTL the same client's
	// requests start no other.
	ttlRetry = 5 * time.Second
)

// TTLWait is how long an answer waits for its store's TTL at most. It is long enough for
// a busy upstream. After it, no further answer waits for the same request.
const TTLWait = time.Second

// longest returns how long an answer to o, from the store with these times, may be
// fresh: limit, but at most a hundredth of the store's TTL, if that is known.
func (t storeTimes) longest(limit time.Duration, o *objectstore.Operation) time.Duration {
	if t.ttl > 0 && expires(o) {
		return min(limit, t.ttl/ttlPart)
	}
	return limit
}

// expires reports whether the answer to o contains values that expire with their
// store's TTL.
func expires(o *objectstore.Operation) bool {
	kind := o.CacheKind()
	return o.Ref.Store != "" && (kind == objectstore.CacheKey || kind == objectstore.CacheKeys)
}

// lacksTTL reports whether the answer to o, from the store with these times, must not be
// kept, because the store's TTL is not known.
func (c *Cache) lacksTTL(times storeTimes, o *objectstore.Operation, now time.Time) bool {
	return c.options.RequireTTL && expires(o) && !times.current(now)
}

// LearnTTL starts or joins the fetch of a store's TTL without which the answer to q is
// not kept. End is closed when the TTL is known or cannot be learned now. It is nil if
// there is no fetch to wait for: the TTL is known, [Options.RequireTTL] is false, the
// same client failed to learn it less than 5 s ago, or the fetch began [TTLWait] ago. If
// done is not nil, no other request fetches the store yet: the caller must do so, give
// the answer to a [Cache.TTLFill], and then call done, exactly once and in any case.
// LearnTTL never waits.
func (c *Cache) LearnTTL(q Question, now time.Time) (end <-chan struct{}, done func()) {
	if !c.lacksTTL(c.learned.of(q.Location, q.Operation.Ref), &q.Operation, now) {
		return nil, nil
	}
	store := storeName(q.Location, q.Operation.Ref)
	end, leads := c.learned.join(store, q.Client, now)
	if !leads {
		return end, nil
	}
	return end, func() {
		if c.learned.leave(store, q.Client, now) {
			c.counts.ttlsLearned.Add(1)
		} else {
			c.counts.ttlsFailed.Add(1)
		}
	}
}

// TTLFill returns a Fill for the answer to q, a request for a store object that is made
// for [Cache.LearnTTL]. It learns from the answer and stores no entry. Now is the
// moment before the request is sent.
func (c *Cache) TTLFill(q Question, now time.Time) *Fill {
	return &Fill{
		cache: c, operation: q.Operation, location: q.Location, requestedAt: now, off: detailDisabled, body: c.intake(),
	}
}

// ttlFetch is a request for a store's TTL that is under way.
type ttlFetch struct {
	began time.Time
	end   chan struct{} // closed at its end
}

// join returns the end of the fetch of a store, and true to the caller that must make
// it. It returns nil if a fetch failed for the client less than ttlRetry ago.
func (l *learned) join(store digest, client string, now time.Time) (end <-chan struct{}, leads bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f, ok := l.fetches[store]; ok {
		if now.Sub(f.began) >= TTLWait {
			return nil, false
		}
		return f.end, false
	}
	times, _ := l.stores.Get(store)
	if at, ok := l.failed.Get(failedName(store, client)); ok && now.Sub(at) < ttlRetry && at.After(times.since) {
		return nil, false
	}
	f := ttlFetch{began: now, end: make(chan struct{})}
	l.fetches[store] = f
	return f.end, true
}

// leave ends the fetch of a store that began at began, and reports whether the TTL was
// learned since.
func (l *learned) leave(store digest, client string, began time.Time) (known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	times, _ := l.stores.Get(store)
	known = times.known && !times.since.Before(began)
	if !known {
		l.failed.Put(failedName(store, client), began)
	}
	close(l.fetches[store].end)
	delete(l.fetches, store)
	return known
}

// failedName is the name of a failed fetch of a store for a client.
func failedName(store digest, client string) digest {
	return sha256.Sum256(append(appendPart(nil, client), store[:]...))
}
