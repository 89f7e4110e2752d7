package cache

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"osgate/objectstore"
)

// Fill takes an answer as it streams to the client and stores it when it is complete. It is for one goroutine, and Close must be called
// whatever happens. It never fails the client: what cannot be kept is let go.
type Fill struct {
	cache       *Cache
	key         digest
	operation   objectstore.Operation
	location    string
	shared      bool
	stamp       Stamp
	on          Resources
	requestedAt time.Time
	limit       time.Duration // freshness of the kind; 0: only to learn from
	off         string        // why limit is 0
	fetch       *Fetch        // the answer is one of any resource; nil: of an operation
	flight      *flight       // of those who wait for this answer; nil: nobody can

	verdict  verdict
	status   int
	header   http.Header
	length   int64 // -1: not known
	body     []byte
	reserved int64 // bytes taken from the cache's budget of answers under way
	taking   bool
}

// Response takes the answer's status and header, exactly as upstream sent them and before anything of the gateway is added, and its
// length, -1 where that is not known. It reports whether the answer will be stored if it ends complete and small enough; if not, reason is a
// token for [Status].Detail. It keeps no hold on header.
func (f *Fill) Response(status int, header http.Header, contentLength int64) (willStore bool, reason string) {
	if f.taking {
		return true, ""
	}
	f.verdict = f.judge(status, header)
	shared := f.flight != nil && f.verdict.sharable(header)
	if !shared {
		f.unshare()
	}
	if f.verdict.refused != "" && !shared && !learnable(&f.operation, status) {
		return false, f.verdict.refused
	}
	f.status, f.length = status, contentLength
	if f.head() {
		f.length = 0
	}
	if !f.reserve(max(f.length, 0)) {
		f.unshare()
		f.verdict.refused = "too-large"
		return false, f.verdict.refused
	}
	f.header = f.kept(header)
	if shared && f.verdict.refused != "" {
		sharedHeader(f.header, header)
	}
	f.taking = true
	return f.verdict.refused == "", f.verdict.refused
}

// judge is the verdict under the freshness of the kind, which never exceeds how long the store's values live.
func (f *Fill) judge(status int, header http.Header) verdict {
	if f.fetch != nil {
		return f.fetch.rules().judge(status, header)
	}
	limit := f.limit
	if limit == 0 {
		return verdict{refused: f.off}
	}
	limit = f.cache.longest(limit, f.location, &f.operation)
	r := rules{operation: &f.operation, limit: limit, shared: f.shared}
	v := r.judge(status, header)
	if v.refused == "" && status != http.StatusNotFound && f.cache.lacksTTL(f.location, &f.operation, f.requestedAt) {
		v.refused = detailTTL
	}
	return v
}

// kept is what of the header may be replayed.
func (f *Fill) kept(header http.Header) http.Header {
	if f.fetch != nil {
		return replayable(header, &f.verdict.control)
	}
	return keptHeader(header, f.head())
}

func (f *Fill) head() bool { return f.operation.Method() == http.MethodHead }

// Write keeps a copy of p. It always takes all of p: beyond [Options].EntryBytes, or the budget of answers under way, it gives the entry up.
func (f *Fill) Write(p []byte) (int, error) {
	if !f.taking || len(p) == 0 {
		return len(p), nil
	}
	if need := len(f.body) + len(p); need > cap(f.body) && !f.grow(need) {
		f.outgrow()
		return len(p), nil
	}
	f.body = append(f.body, p...)
	return len(p), nil
}

// firstBytes is the room that a body of unknown length begins with.
const firstBytes = 4 << 10

// grow makes room for need bytes, and reports whether there may be so many. The room is the length that was announced, else twice what there was.
func (f *Fill) grow(need int) bool {
	size := int(f.length)
	if size < need {
		size = max(need, min(max(2*cap(f.body), firstBytes), int(f.cache.options.EntryBytes)))
	}
	if !f.reserve(int64(size)) {
		return false
	}
	body := make([]byte, len(f.body), size)
	copy(body, f.body)
	f.body = body
	return true
}

// reserve makes the fill's share of the budget n bytes, and reports whether that is within EntryBytes and the budget.
func (f *Fill) reserve(n int64) bool {
	if n <= f.reserved {
		return true
	}
	if n > f.cache.options.EntryBytes || !f.cache.underWay.take(n-f.reserved) {
		return false
	}
	f.reserved = n
	return true
}

// outgrow gives the entry up and tells those who wait. What has been read ahead stays, and charged for, until Close: the client has yet to get it.
func (f *Fill) outgrow() {
	if f.flight == nil {
		f.giveUp()
		return
	}
	f.taking = false
	f.finishFlight(flightResult{})
}

// unshare sends those who wait upstream themselves.
func (f *Fill) unshare() {
	f.finishFlight(flightResult{})
	f.flight = nil
}

// finish tells those who wait how the fetch ended.
func (f *Fill) finishFlight(how flightResult) {
	if f.flight != nil {
		f.cache.flights.finish(f.flight, how)
	}
}

// giveUp lets go of what was kept.
func (f *Fill) giveUp() {
	f.taking, f.body, f.header = false, nil, nil
	f.cache.underWay.give(f.reserved)
	f.reserved = 0
}

// Close ends the answer. Complete says that it ended as upstream meant it to; a cut one is never stored, nor one that is not as long as its
// Content-Length said. The entry counts from before the fetch: under the generations and with the age of that moment. To call it again
// does nothing.
func (f *Fill) Close(complete bool) {
	defer f.finishFlight(flightResult{})
	defer f.giveUp()
	if !f.taking || !complete || f.length >= 0 && int64(len(f.body)) != f.length {
		return
	}
	f.cache.learned.learn(f)
	if f.verdict.refused != "" && !f.awaited() {
		return
	}
	if f.fetch != nil {
		f.fetch.put(f.fetch.newVariant(f.status, f.header, f.trimmed(), &f.verdict))
		return
	}
	e := f.entry()
	if f.verdict.refused == "" {
		f.cache.keep(f.key, e)
	}
	f.finishFlight(flightResult{entry: e}) // after it is stored, so that whoever finds no flight finds the entry
}

// awaited reports whether others could have the answer.
func (f *Fill) awaited() bool { return f.flight != nil && f.verdict.sharable(f.header) }

// trimmed returns the body without the room that it was grown by: an entry is charged for its length.
func (f *Fill) trimmed() []byte {
	if cap(f.body) > len(f.body)+len(f.body)/8 {
		return slices.Clone(f.body)
	}
	return f.body
}

// entry makes the entry of the complete answer.
func (f *Fill) entry() *Entry {
	e := newEntry(f.status, f.header, f.trimmed(), f.head())
	e.stamp, e.on = f.stamp, f.on
	e.requestedAt, e.age, e.lifetime = f.requestedAt, f.verdict.age, f.verdict.lifetime
	if f.verdict.refused == "" {
		e.stale = f.staleness()
	}
	return e
}

// budget is a number of bytes that may be in use at once.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }
