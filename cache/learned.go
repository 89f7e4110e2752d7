package cache

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"sync"
	"time"

	"osgate/internal/recent"

	"osgate/objectstore"
)

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

func newLearned() *learned {
	return &learned{
		stores: recent.New[digest, storeTimes](learnedStores), failed: recent.New[digest, time.Time](learnedStores),
		fetches: map[digest]ttlFetch{},
	}
}

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

// forget is for a store that may have been changed at now: answers to earlier requests
// are ignored from now on.
func (l *learned) forget(location string, ref objectstore.Ref, now time.Time) {
	name := storeName(location, ref)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stores.Put(name, storeTimes{since: now})
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
