package cache

import (
	"net/http"
	"time"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
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
