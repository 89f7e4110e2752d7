package cache

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"math"
	"net/http"
	"sync"
	"time"

	"osgate/internal/recent"
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

const (
	// learnedStores is the number of stores whose TTLs are kept, twice that at most.
	learnedStores = 32768

	// learnedFor is how long the TTLs of a store object are used. A store may be
	// changed without the gateway.
	learnedFor = time.Hour
)

// learned keeps the TTLs of stores, from the store objects in answers that pass: how
// long a store's values live, beyond which none must be served, and how long a
// confirmable operation may still roll back ("Object Store v2 REST APIs").
type learned struct {
	mu      sync.Mutex // guards the fields below
	stores  recent.Map[digest, storeTimes]
	failed  recent.Map[digest, time.Time] // when a fetch for a client failed, by store and client
	fetches map[digest]ttlFetch           // under way, by store
}

type storeTimes struct {
	// Answers to requests sent before this are ignored, because the store has been
	// changed since.
	since        time.Time
	known        bool          // a store object was read; false: only since counts
	ttl          time.Duration // defaultTtlSeconds; 0: not known, or none was stated
	confirmation time.Duration // defaultConfirmationTtlSeconds; 0: not known, or none was stated
}

// current reports whether a store object was read less than learnedFor before now.
func (t storeTimes) current(now time.Time) bool { return t.known && now.Sub(t.since) < learnedFor }

func (l *learned) of(location string, ref objectstore.Ref) storeTimes {
	if ref.Store == "" {
		return storeTimes{}
	}
	name := storeName(location, ref)
	l.mu.Lock()
	defer l.mu.Unlock()
	times, _ := l.stores.Get(name)
	return times
}

// learnable reports whether the answer to o describes stores.
func learnable(o *objectstore.Operation, status int) bool {
	return status == http.StatusOK && (o.Kind == objectstore.GetStore || o.Kind == objectstore.ListStores)
}

// storeObject contains the members of a store object that are used. Upstream answers in
// seconds; the vendor's OpenAPI has members in milliseconds.
type storeObject struct {
	StoreID            string      `json:"storeId"`
	TTL                json.Number `json:"defaultTtlSeconds"`
	Confirmation       json.Number `json:"defaultConfirmationTtlSeconds"`
	TTLMillis          json.Number `json:"defaultTtlMillis"`
	ConfirmationMillis json.Number `json:"defaultConfirmationTtlMillis"`
}

// times returns the TTLs of the store, as of the moment of the request for it.
func (s *storeObject) times(requestedAt time.Time) storeTimes {
	return storeTimes{
		since: requestedAt, known: true,
		ttl:          cmp.Or(duration(s.TTL, time.Second), duration(s.TTLMillis, time.Millisecond)),
		confirmation: cmp.Or(duration(s.Confirmation, time.Second), duration(s.ConfirmationMillis, time.Millisecond)),
	}
}

// learn parses a complete answer. An answer that cannot be parsed is ignored.
func (l *learned) learn(f *Fill) {
	if !learnable(&f.operation, f.status) {
		return
	}
	var found []storeObject
	if f.operation.Kind == objectstore.GetStore {
		var one storeObject
		if json.Unmarshal(f.body.Bytes(), &one) != nil || !isObject(f.body.Bytes()) {
			return
		}
		one.StoreID = f.operation.Ref.Store // the name in the request; the answer may write it differently
		found = []storeObject{one}
	} else {
		var page struct {
			Values []storeObject `json:"values"`
		}
		if json.Unmarshal(f.body.Bytes(), &page) != nil {
			return
		}
		found = page.Values
	}
	for _, s := range found {
		ref := f.operation.Ref
		ref.Store = s.StoreID
		l.put(storeName(f.location, ref), s.times(f.requestedAt))
	}
}

// isObject reports whether JSON text is an object. One without a TTL is a store with
// upstream's default of 30 days.
func isObject(text []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) }

// put keeps the times unless the store was changed, or requested, later.
func (l *learned) put(name digest, times storeTimes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.stores.Get(name); !ok || !known.since.After(times.since) {
		l.stores.Put(name, times)
	}
}

// duration returns n units. It returns 0 for a number that is missing, below 1 or too
// large: upstream replaces such a TTL by 30 days (vendor page "Object Store v2 FAQ").
func duration(n json.Number, unit time.Duration) time.Duration {
	v, err := n.Float64()
	if err != nil || v < 1 || v > math.MaxInt32*float64(time.Second/unit) {
		return 0
	}
	return time.Duration(v) * unit
}
