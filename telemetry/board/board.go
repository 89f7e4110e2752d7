// Package board keeps the numbers of the operator's page: counts since the start and in
// the last minute, charts of the last quarter of an hour, the busiest clients and
// stores, the regions, and the last refusals.
//
// The idea a reader needs: a [Board] is a record.Keeper whose memory does not grow with
// traffic. Names of clients and stores are kept for a minute, and only the busiest ones.
// [Snapshot] and [Recent] are the JSON that the page and osgate top read, defined only
// here.
package board

import (
	"cmp"
	"strings"
	"sync"
	"time"

	"osgate/record"
)

// MaxRefusals is the number of kept refusals; a [Snapshot] has the last of them.
const (
	MaxRefusals      = 200
	maxShownRefusals = 50
)

// Board is a [record.Keeper] for the operator's page. It counts since the start, in the
// last minute, and in intervals of five seconds over the last 15 minutes. It also keeps
// the busiest clients and stores, the state of the regions, and the last refusals. Its
// memory does not grow with traffic (at most 3 MB). [New] makes it. It is safe
// for concurrent use.
type Board struct {
	gauges Gauges
	start  time.Time

	mu       sync.Mutex // guards the fields below; held for 0.3 µs per exchange
	window   window
	chart    chart
	totals   [counters]int64
	codes    []string // known codes, by index after firstCode
	clients  busiest[string]
	stores   busiest[Place]
	regions  []*region
	shadow   rules
	failing  rules // rules whose evaluation failed
	deciding rules // rules that decided
	refusals [MaxRefusals]RefusalDetail
	refused  int // number of all refusals; the next is stored at refused % MaxRefusals
}

// Place identifies a store.
type Place struct {
	Plane        string `json:"plane"`
	Region       string `json:"region"`
	Organization string `json:"organization"`
	Environment  string `json:"environment"`
	Store        string `json:"store"`
}

// New returns a Board without exchanges.
func New(g Gauges) *Board {
	return &Board{gauges: g, start: time.Now(), clients: newBusiest(strings.Compare), stores: newBusiest(Place.compare)}
}

// Keep implements [record.Keeper].
func (b *Board) Keep(x *record.Exchange) {
	outcome, now := x.Outcome(), time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.second(now)
	if x.CausedBy != "" { // a request of the gateway itself
		b.keepOwn(now, n, x)
		return
	}
	b.count(n, outcome, x)
	b.shadow.add(n, x.Shadow)
	b.failing.add(n, x.PolicyErrors)
	if x.Rule != "" {
		b.deciding.add(n, []string{x.Rule})
	}
	if outcome == record.OutcomeClientLeft {
		return
	}
	if x.UpstreamAttempts > 0 && x.Region != "" {
		b.keepRegion(now, n, x)
	}
	if x.Code != "" {
		b.keepRefusal(now, x)
	}
	if x.Principal == "" { // without an identity, the store's name may be invented
		return
	}
	refused := outcome == record.OutcomeRefused
	client := b.clients.add(record.ShortName(x.Principal), n, refused, strings.Clone)
	client.trailSince(now).keep(n, x, refused)
	client.quota.keep(now, x)
	if x.Store != "" && !refused {
		counts := b.stores.add(placeOf(x), n, x.Hit, Place.clone)
		if !x.Hit && !x.Cache.IsZero() {
			counts.miss(n)
		}
		store := counts.trailSince(now)
		store.keep(n, x, x.Hit)
		if store.place == nil {
			store.place = new(placeOf(x).clone())
		}
		client.trail.visit(store.place, x.Hit)
	}
}

// keepOwn counts the upstream part of x, a request of the gateway itself.
func (b *Board) keepOwn(now time.Time, n int64, x *record.Exchange) {
	b.countUpstream(b.window.at(n), x)
	if x.UpstreamAttempts > 0 && x.Region != "" {
		b.keepRegion(now, n, x)
	}
}

// second returns the number of seconds from the start to now. It uses the monotonic
// clock, so setting the clock has no effect.
func (b *Board) second(now time.Time) int64 { return max(0, int64(now.Sub(b.start)/time.Second)) }

// count adds x to second n and to the totals.
func (b *Board) count(n int64, outcome record.Outcome, x *record.Exchange) {
	s := b.window.at(n)
	b.add(s, counter(outcome), 1)
	b.add(s, received, x.RequestBytes)
	b.add(s, transmitted, x.ResponseBytes)
	b.countUpstream(s, x)
	if x.Hit && x.UpstreamAttempts == 0 {
		b.add(s, savedRequests, 1)
		b.add(s, savedUnits, x.CountedUnits())
	}
	if !x.Cache.IsZero() {
		b.add(s, lookups, 1)
	}
	code := counter(0)
	if x.Code != "" && outcome != record.OutcomeClientLeft {
		code = b.code(string(x.Code))
		b.add(s, code, 1)
	}
	b.chart.add(n/intervalSeconds, outcome, code, x)
	s.timings[timeAll].add(x.Duration)
	if outcome == record.OutcomeHit {
		s.timings[timeHit].add(x.Duration)
	}
}

// countUpstream adds the upstream part of x to a second and to the totals.
func (b *Board) countUpstream(s *second, x *record.Exchange) {
	if x.UpstreamAttempts == 0 {
		return
	}
	b.add(s, upstreamRequests, int64(x.UpstreamAttempts))
	b.add(s, upstreamUnits, x.BilledUnits())
	s.timings[timeUpstream].add(x.UpstreamDuration)
}

// add adds to a counter of a second and of the totals.
func (b *Board) add(s *second, c counter, by int64) {
	s.counts[c] += by
	b.totals[c] += by
}

// otherCodes is the name of all codes beyond maxCodes.
const otherCodes = "other"

// code returns the counter of a problem code.
func (b *Board) code(code string) counter {
	for i, known := range b.codes {
		if known == code || known == otherCodes {
			return firstCode + counter(i)
		}
	}
	if len(b.codes) == maxCodes-1 {
		code = otherCodes
	}
	b.codes = append(b.codes, code)
	return firstCode + counter(len(b.codes)-1)
}

// keepRefusal adds x to the last refusals.
func (b *Board) keepRefusal(now time.Time, x *record.Exchange) {
	b.refusals[b.refused%MaxRefusals] = detailOf(now, x)
	b.refused++
}

// placeOf returns the place of x's store.
func placeOf(x *record.Exchange) Place {
	return Place{
		x.Plane, x.Region,
		record.ShortName(x.Organization), record.ShortName(x.Environment), record.ShortName(x.Store),
	}
}

// compare orders places by plane, region, organization, environment and store.
func (p Place) compare(q Place) int {
	return cmp.Or(
		strings.Compare(p.Plane, q.Plane),
		strings.Compare(p.Region, q.Region),
		strings.Compare(p.Organization, q.Organization),
		strings.Compare(p.Environment, q.Environment),
		strings.Compare(p.Store, q.Store),
	)
}

// clone returns a copy that does not retain memory of a request.
func (p Place) clone() Place {
	return Place{
		strings.Clone(p.Plane), strings.Clone(p.Region),
		strings.Clone(p.Organization), strings.Clone(p.Environment), strings.Clone(p.Store),
	}
}
