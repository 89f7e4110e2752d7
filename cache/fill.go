package cache

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
	"osgate/internal/recent"
	"osgate/objectstore"
)

// Fill takes an answer while it streams to the client, and stores it when it is
// complete. It is for one goroutine at a time, and Close must always be called. It
// never fails the client: an answer that cannot be kept is dropped.
type Fill struct {
	cache       *Cache
	key         digest
	operation   objectstore.Operation
	location    string
	shared      bool
	stamp       coherence.Stamp
	on          coherence.Resources
	requestedAt time.Time
	limit       time.Duration // freshness of the kind; 0: learn from the answer, do not store it
	off         string        // why limit is 0
	flight      *flight       // the requests that wait for this answer; nil: none can wait

	verdict httpcache.Verdict
	status  int
	header  http.Header
	body    httpcache.Intake
	taking  bool
}

// Response takes the answer's status and header, exactly as upstream sent them and
// before the gateway adds its own, and the answer's length, -1 if it is not known. It
// reports whether the answer will be stored if it is complete and small enough; if not,
// reason is a token for [Status].Detail. It keeps no reference to header.
func (f *Fill) Response(status int, header http.Header, contentLength int64) (willStore bool, reason string) {
	if f.taking {
		return true, ""
	}
	f.verdict = f.judge(status, header)
	shared := f.flight != nil && sharable(&f.verdict, header)
	if !shared {
		f.unshare()
	}
	if f.verdict.Refused != "" && !shared && !learnable(&f.operation, status) {
		return false, f.verdict.Refused
	}
	f.status = status
	if f.head() {
		contentLength = 0
	}
	if !f.body.Expect(contentLength) {
		f.unshare()
		f.verdict.Refused = "too-large"
		return false, f.verdict.Refused
	}
	f.header = httpcache.Impersonal(header, f.head())
	if shared && f.verdict.Refused != "" {
		sharedHeader(f.header, header)
	}
	f.taking = true
	return f.verdict.Refused == "", f.verdict.Refused
}

// sharedHeader adds to a kept header the fields of an answer that is not stored that
// apply to all requests of that moment.
func sharedHeader(kept, h http.Header) {
	for _, name := range []string{"Retry-After", "Www-Authenticate"} {
		if values, ok := h[name]; ok {
			kept[name] = slices.Clone(values)
		}
	}
}

// judge is the verdict under the freshness of the kind, which never exceeds the life of
// the store's values.
func (f *Fill) judge(status int, header http.Header) httpcache.Verdict {
	limit := f.limit
	if limit == 0 {
		return httpcache.Verdict{Refused: f.off}
	}
	times := f.cache.learned.of(f.location, f.operation.Ref)
	v := judgeOperation(&f.operation, times.longest(limit, &f.operation), f.shared, status, header)
	if v.Refused == "" && status != http.StatusNotFound && f.cache.lacksTTL(times, &f.operation, f.requestedAt) {
		v.Refused = detailTTL
	}
	return v
}

func (f *Fill) head() bool { return f.operation.Method() == http.MethodHead }

// Write keeps a copy of p. It always accepts all of p. It drops the entry if the body
// exceeds [Options].EntryBytes or the budget for answers that are being received.
func (f *Fill) Write(p []byte) (int, error) {
	if !f.taking || len(p) == 0 {
		return len(p), nil
	}
	if !f.body.Append(p) {
		f.outgrow()
	}
	return len(p), nil
}

// outgrow drops the entry and wakes the followers. The bytes that were read ahead stay,
// and stay charged, until Close: the client has not received them yet.
func (f *Fill) outgrow() {
	if f.flight == nil {
		f.giveUp()
		return
	}
	f.taking = false
	f.finishFlight(flightResult{})
}

// unshare makes each follower send its own request upstream.
func (f *Fill) unshare() {
	f.finishFlight(flightResult{})
	f.flight = nil
}

// finishFlight wakes the followers with the result of the fetch.
func (f *Fill) finishFlight(how flightResult) {
	if f.flight != nil {
		f.cache.flights.finish(f.flight, how)
	}
}

// giveUp drops the bytes that were kept.
func (f *Fill) giveUp() {
	f.taking, f.header = false, nil
	f.body.Drop()
}

// Close ends the answer. Complete reports whether the answer ended as upstream meant it
// to. An answer that was cut is never stored, nor one whose length differs from its
// Content-Length. The entry has the generations and the age of the moment before the
// fetch. A second call has no effect.
func (f *Fill) Close(complete bool) {
	defer f.finishFlight(flightResult{})
	defer f.giveUp()
	if !f.taking || !complete || !f.body.Whole() {
		return
	}
	f.cache.learned.learn(f)
	if f.verdict.Refused != "" && !f.awaited() {
		return
	}
	e := f.entry()
	if f.verdict.Refused == "" {
		f.cache.keep(f.key, e)
	}
	f.finishFlight(flightResult{entry: e}) // after it is stored, so that a request that finds no flight finds the entry
}

// awaited reports whether other requests may use the answer.
func (f *Fill) awaited() bool { return f.flight != nil && sharable(&f.verdict, f.header) }

// entry makes the entry of the complete answer.
func (f *Fill) entry() *Entry {
	e := newEntry(f.status, f.header, f.body.Body(), f.head())
	e.stamp, e.on = f.stamp, f.on
	e.RequestedAt, e.InitialAge, e.Lifetime = f.requestedAt, f.verdict.Age, f.verdict.Lifetime
	if f.verdict.Refused == "" {
		e.stale = f.staleness()
	}
	return e
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
