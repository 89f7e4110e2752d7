package cache

import (
	"net/http"
	"time"
)

// Details of a [Status] whose entry is served although it is no longer fresh (RFC 5861).
const (
	detailWhileRevalidate = "stale-while-revalidate"
	detailIfError         = "stale-if-error"
)

// staleness is for how much longer than it is fresh an answer may be served: while it is being asked for again, and where that fails.
type staleness struct{ whileRevalidate, ifError time.Duration }

// longest is how long an entry has to be kept beyond its freshness.
func (s staleness) longest() time.Duration { return max(s.whileRevalidate, s.ifError) }

// staleness is what the operator allows, or less where upstream says less (RFC 5861 sections 3 and 4). It is nothing where upstream
// forbids to serve the answer stale, for the absence of a key, and beyond the life of the store's values.
func (f *Fill) staleness() staleness {
	control := &f.verdict.control
	if f.status == http.StatusNotFound || control.neverStale() {
		return staleness{}
	}
	o := &f.cache.options
	s := staleness{o.StaleWhileRevalidate, o.StaleIfError}
	if control.whileRevalidate.present {
		s.whileRevalidate = min(s.whileRevalidate, control.whileRevalidate.d)
	}
	if control.ifError.present {
		s.ifError = min(s.ifError, control.ifError.d)
	}
	if life := f.cache.learned.of(f.location, f.operation.Ref).ttl; life > 0 {
		left := max(0, life-f.verdict.lifetime)
		s = staleness{min(s.whileRevalidate, left), min(s.ifError, left)}
	}
	return s
}

// acceptsStale reports whether an entry of this age, that is fresh no more for so long, is what the client puts up with. A max-age without max-stale
// means fresh answers (RFC 9111 section 5.2.1.1).
func (d *demands) acceptsStale(age, stale time.Duration) bool {
	switch {
	case d.noCache || d.minFresh > 0:
		return false
	case d.hasMaxStale && stale > d.maxStale:
		return false
	case d.hasMaxAge:
		return d.hasMaxStale && age <= d.maxAge
	}
	return true
}

// outdated is what becomes of a granted entry that is no longer fresh. Within the operator's bound it is served and asked for again by one
// request, with the Fill that goes with it; all others get the entry alone.
func (s *Search) outdated(e *Entry, age, left time.Duration) Result {
	if s.single || !s.wants.acceptsStale(age, -left) {
		return noEntry(ForwardStale, "")
	}
	s.stale = e
	if left <= -e.stale.whileRevalidate {
		return noEntry(ForwardStale, "")
	}
	return Result{Entry: e, Status: Status{Hit: true, TTL: left, Detail: detailWhileRevalidate}}
}

// refresh adds the Fill to a result that is served stale, unless somebody is asking already.
func (s *Search) refresh(result Result) Result {
	if result.Entry == nil || result.Status.TTL > 0 {
		return result
	}
	if f, leads := s.cache.flights.join(s.flightKey(), false, true); leads {
		result.Fill = s.fill(ForwardStale, "").Fill
		result.Fill.flight = f
	}
	return result
}

// Fallback returns what is stored and no longer fresh, where it may be served because upstream answers 500, 502, 503 or 504 or not at all
// (RFC 5861 section 4). It is for after [Search.Look], and for a request that began then: a write that was marked since is one that
// overlaps it. The token's grant must be alive still.
func (s *Search) Fallback(now time.Time) (Result, bool) {
	if s.stale == nil {
		return Result{}, false
	}
	left := s.stale.Left(now)
	if left <= -s.stale.stale.ifError || !s.wants.acceptsStale(s.stale.Age(now), -left) {
		return Result{}, false
	}
	if granted, _ := s.granted(now); !granted {
		return Result{}, false
	}
	s.cache.counts.fallbacks.Add(1)
	return Result{Entry: s.stale, Status: Status{Hit: true, TTL: left, Detail: detailIfError}}, true
}

// Failed reports whether a status is one for which an entry that is no longer fresh may stand in (RFC 5861 section 4).
func Failed(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (e *Entry) failed() bool { return Failed(e.status) }
