package cache

import (
	"net/http"
	"time"

	"osgate/cache/httpcache"
)

// staleness is how long an answer may be served after it is no longer fresh: while it
// is fetched again, and if that fetch fails.
type staleness struct{ whileRevalidate, ifError time.Duration }

// longest is how long an entry must be kept after it is no longer fresh.
func (s staleness) longest() time.Duration { return max(s.whileRevalidate, s.ifError) }

// staleness returns the times that the operator allows, or less if upstream's header
// states less (RFC 5861 sections 3 and 4). They are zero if upstream forbids to serve
// the answer stale, and for the absence of a key. They never exceed the life of the
// store's values.
func (f *Fill) staleness() staleness {
	control := &f.verdict.Control
	if f.status == http.StatusNotFound || control.NeverStale() {
		return staleness{}
	}
	o := &f.cache.options
	s := staleness{o.StaleWhileRevalidate, o.StaleIfError}
	if control.WhileRevalidate.Present {
		s.whileRevalidate = min(s.whileRevalidate, control.WhileRevalidate.Length)
	}
	if control.IfError.Present {
		s.ifError = min(s.ifError, control.IfError.Length)
	}
	if life := f.cache.learned.of(f.location, f.operation.Ref).ttl; life > 0 {
		left := max(0, life-f.verdict.Lifetime)
		s = staleness{min(s.whileRevalidate, left), min(s.ifError, left)}
	}
	return s
}

// outdated handles an entry that is granted but no longer fresh. Within the operator's
// bound it is served. One request gets a Fill too and fetches the entry again; all
// others get the entry alone.
func (s *Search) outdated(e *Entry, age, left time.Duration) Result {
	if s.single || !s.wants.AcceptsStale(age, -left) {
		return noEntry(httpcache.ForwardStale, "")
	}
	s.stale = e
	if left <= -e.stale.whileRevalidate {
		return noEntry(httpcache.ForwardStale, "")
	}
	return Result{Entry: e, Status: httpcache.Status{Hit: true, TTL: left, Detail: httpcache.DetailWhileRevalidate}}
}

// refresh adds the Fill to a result that is served stale, unless a fetch is under way
// already.
func (s *Search) refresh(result Result) Result {
	if result.Entry == nil || result.Status.TTL > 0 {
		return result
	}
	if f, leads := s.cache.flights.join(s.flightKey(), false, true); leads {
		result.Fill = s.fill(httpcache.ForwardStale, "").Fill
		result.Fill.flight = f
	}
	return result
}

// Fallback returns a stored entry that is no longer fresh, if it may be served because
// upstream answers 500, 502, 503 or 504, or does not answer (RFC 5861 section 4). It is
// called after [Search.Look], for a request that began then: a write that was marked
// since overlaps the request. The token's grant must still be alive.
func (s *Search) Fallback(now time.Time) (Result, bool) {
	if s.stale == nil {
		return Result{}, false
	}
	left := s.stale.Left(now)
	if left <= -s.stale.stale.ifError || !s.wants.AcceptsStale(s.stale.Age(now), -left) {
		return Result{}, false
	}
	if granted, _ := s.granted(now); !granted {
		return Result{}, false
	}
	s.cache.counts.fallbacks.Add(1)
	return Result{Entry: s.stale, Status: httpcache.Status{Hit: true, TTL: left, Detail: httpcache.DetailIfError}}, true
}
