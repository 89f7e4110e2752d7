package telemetry

import (
	"cmp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"osgate/record"
)

// maxRefusals is how many of the last refusals are kept.
const maxRefusals = 50

// Board is a [record.Keeper] for the operator's page: what happened since the start, in the last minute and in each five seconds of the last quarter of an
// hour, who asks most, how the regions do, and what was refused last. Its memory does not grow with traffic (at most 1.4 MB). Make it by
// [NewBoard]; it is safe for concurrent use.
type Board struct {
	gauges Gauges
	start  time.Time

	mu       sync.Mutex // guards all below; held for 0.3 µs an exchange
	window   window
	chart    chart
	totals   [counters]int64
	codes    []string // those met, by their place after firstCode
	clients  busiest[string]
	stores   busiest[Place]
	regions  []*region
	shadow   rules
	failing  rules // whose evaluation failed
	refusals [maxRefusals]Refusal
	refused  int // all refusals so far; the next goes to refused modulo maxRefusals
}

// Place names a store.
type Place struct {
	Plane        string `json:"plane"`
	Region       string `json:"region"`
	Organization string `json:"organization"`
	Environment  string `json:"environment"`
	Store        string `json:"store"`
}

// NewBoard returns a Board that knows of no exchange yet.
func NewBoard(g Gauges) *Board {
	return &Board{gauges: g, start: time.Now(), clients: newBusiest(strings.Compare), stores: newBusiest(Place.compare)}
}

// Keep implements [record.Keeper].
func (b *Board) Keep(x *record.Exchange) {
	outcome, now := OutcomeOf(x), time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.second(now)
	if x.CausedBy != "" { // no client sent it
		b.keepOwn(now, n, x)
		return
	}
	b.count(n, outcome, x)
	b.shadow.add(n, x.Shadow)
	b.failing.add(n, x.PolicyErrors)
	if outcome == OutcomeClientLeft {
		return
	}
	if x.UpstreamAttempts > 0 && x.Region != "" {
		b.keepRegion(now, n, x)
	}
	if x.Code != "" {
		b.keepRefusal(now, x)
	}
	if x.Principal == "" { // whoever has no name can make up names of stores
		return
	}
	b.clients.add(short(x.Principal), n, outcome == OutcomeRefused, strings.Clone).standing.keep(now, x)
	if x.Store != "" && outcome != OutcomeRefused {
		b.stores.add(placeOf(x), n, x.Hit, Place.clone)
	}
}

// keepOwn counts x, a request of the gateway itself, for what it took upstream.
func (b *Board) keepOwn(now time.Time, n int64, x *record.Exchange) {
	if x.UpstreamAttempts == 0 {
		return
	}
	s := b.window.at(n)
	for c, by := range map[counter]int64{asked: int64(x.UpstreamAttempts), asking: x.BilledUnits()} {
		s.counts[c] += by
		b.totals[c] += by
	}
	s.timings[timeUpstream].add(x.UpstreamDuration)
	if x.Region != "" {
		b.keepRegion(now, n, x)
	}
}

// second numbers the second of now since the start. The monotonic clock decides, so that a clock that is set moves nothing.
func (b *Board) second(now time.Time) int64 { return max(0, int64(now.Sub(b.start)/time.Second)) }

// count adds x to second n and to the totals.
func (b *Board) count(n int64, outcome Outcome, x *record.Exchange) {
	s := b.window.at(n)
	add := func(c counter, by int64) {
		s.counts[c] += by
		b.totals[c] += by
	}
	add(counter(outcome), 1)
	add(received, x.RequestBytes)
	add(transmitted, x.ResponseBytes)
	add(asked, int64(x.UpstreamAttempts))
	switch {
	case x.Billed():
		add(asking, x.BilledUnits())
	case x.Hit && x.UpstreamAttempts == 0:
		add(spared, 1)
		add(sparing, x.CountedUnits())
	}
	if x.Cache != "" {
		add(lookups, 1)
	}
	code := counter(0)
	if x.Code != "" && outcome != OutcomeClientLeft {
		code = b.code(x.Code)
		add(code, 1)
	}
	b.chart.add(n/slotSeconds, outcome, code, x)
	s.timings[timeAll].add(x.Duration)
	if outcome == OutcomeHit {
		s.timings[timeHit].add(x.Duration)
	}
	if x.UpstreamAttempts > 0 {
		s.timings[timeUpstream].add(x.UpstreamDuration)
	}
}

// otherCodes is the name of what did not fit into maxCodes.
const otherCodes = "other"

// code returns the counter of one of the gateway's problem codes.
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

// keepRefusal remembers x among the last refusals.
func (b *Board) keepRefusal(now time.Time, x *record.Exchange) {
	b.refusals[b.refused%maxRefusals] = Refusal{
		Time:      now,
		RequestID: short(x.ID),
		Code:      x.Code,
		Status:    x.Status,
		Principal: short(x.Principal),
		Operation: x.Operation,
	}
	if x.Code == codeDenied {
		b.refusals[b.refused%maxRefusals].Rule = short(x.Rule)
	}
	b.refused++
}

// placeOf returns where x's store is.
func placeOf(x *record.Exchange) Place {
	return Place{x.Plane, x.Region, short(x.Organization), short(x.Environment), short(x.Store)}
}

// compare orders places by their names, the widest first.
func (p Place) compare(q Place) int {
	return cmp.Or(
		strings.Compare(p.Plane, q.Plane),
		strings.Compare(p.Region, q.Region),
		strings.Compare(p.Organization, q.Organization),
		strings.Compare(p.Environment, q.Environment),
		strings.Compare(p.Store, q.Store),
	)
}

// clone returns a copy that holds on to no request's memory.
func (p Place) clone() Place {
	return Place{
		strings.Clone(p.Plane), strings.Clone(p.Region),
		strings.Clone(p.Organization), strings.Clone(p.Environment), strings.Clone(p.Store),
	}
}

// short cuts a name that is longer than maxName, between two characters.
func short(name string) string {
	if len(name) <= maxName {
		return name
	}
	cut := maxName
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "…"
}
