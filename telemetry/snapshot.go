package telemetry

import (
	"time"
)

// nowSeconds is how many complete seconds "now" is the mean of: fewer flicker, more are late.
const nowSeconds = 5

// Snapshot is what a [Board] knew at one instant, in the form that the operator's page reads as JSON.
type Snapshot struct {
	Time  time.Time `json:"time"`
	Start time.Time `json:"start"` // since when totals are counted

	// WindowSeconds is how many complete seconds "window" covers: 60, or fewer after a start. The second that is running is in the totals alone.
	WindowSeconds int64 `json:"windowSeconds"`

	Outcomes  []OutcomeCount `json:"outcomes"` // all of them, in a fixed order
	Codes     []CodeCount    `json:"codes"`    // our problem codes that were answered since the start, in the order in which they first were
	Latencies Latencies      `json:"latencies"`
	Lookups   Count          `json:"lookups"`  // cacheable reads, of which outcome "hit" was answered from the cache
	Upstream  Count          `json:"upstream"` // requests sent upstream
	Received  Count          `json:"received"` // bytes of bodies from clients
	Sent      Count          `json:"sent"`     // bytes of bodies to clients
	Saved     Saved          `json:"saved"`

	UpstreamUnits Count `json:"upstreamUnits"` // billing units that Object Store was asked for, as [record.Exchange.BilledUnits] estimates them

	Clients  []ClientCount `json:"clients"` // at most 50, those with most requests in the window first
	Stores   []StoreCount  `json:"stores"`  // at most 50, likewise
	Refusals []Refusal     `json:"refusals"`

	Shadow       []RuleCount `json:"shadow"`       // what policy rules in shadow mode would have refused
	PolicyErrors []RuleCount `json:"policyErrors"` // policy rules whose evaluation failed

	Regions []RegionCount `json:"-"` // those with traffic in the last minute, by name: for the page's list of parts

	// What [Gauges] say; absent where nobody does.
	ExchangesUnderWay *int64 `json:"exchangesUnderWay,omitempty"`
	CacheBytes        *int64 `json:"cacheBytes,omitempty"`
	CacheEntries      *int64 `json:"cacheEntries,omitempty"`
	RedisUp           *bool  `json:"redisUp,omitempty"`
}

// Count is how often something happened, or how many bytes went by.
type Count struct {
	PerSecond float64 `json:"perSecond"` // mean of the last 5 complete seconds
	Window    int64   `json:"window"`    // in the window
	Total     int64   `json:"total"`     // since the start
}

// Saved is what the cache kept from Object Store.
type Saved struct {
	Requests Count `json:"requests"` // answered without asking upstream
	Units    Count `json:"units"`    // as how many they would have been billed, as [record.Exchange.CountedUnits] estimates it
}

// OutcomeCount is a [Count] of exchanges by how they ended.
type OutcomeCount struct {
	Outcome Outcome `json:"outcome"`
	Count
}

// CodeCount is a [Count] of exchanges that we answered with one of our problem codes.
type CodeCount struct {
	Code string `json:"code"`
	Count
}

// Latencies are durations within the window.
type Latencies struct {
	All      Quantiles `json:"all"`      // of every exchange, to the answer's last byte
	Hit      Quantiles `json:"hit"`      // of those answered from the cache
	Upstream Quantiles `json:"upstream"` // upstream's part of those that were forwarded, to the answer's first byte
}

// Quantiles are milliseconds that half, 95 and 99 of a hundred durations did not exceed, at most one eighth too high; 0 where Count is 0.
type Quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

// ClientCount is what a client did within the window.
type ClientCount struct {
	Principal string  `json:"principal"`
	Requests  int64   `json:"requests"`
	Refused   int64   `json:"refused"`
	PerSecond float64 `json:"perSecond"` // mean of the window
	Standing
}

// StoreCount is what was asked of a store within the window, refused exchanges left out.
type StoreCount struct {
	Place
	Requests  int64   `json:"requests"`
	Hits      int64   `json:"hits"`
	PerSecond float64 `json:"perSecond"` // mean of the window
}

// Refusal is an exchange that we answered with a problem code.
type Refusal struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"requestId"`
	Code      string    `json:"code"`
	Status    int       `json:"status"`
	Principal string    `json:"principal,omitempty"` // empty where nobody was identified
	Operation string    `json:"operation,omitempty"` // empty for what is none
	Rule      string    `json:"rule,omitempty"`      // of the policy, where Code is "denied"
}

// Snapshot returns what is known at now, the present. It holds Keep up while it lasts, about 0.3 ms.
func (b *Board) Snapshot(now time.Time) Snapshot {
	s := Snapshot{
		Time: now, Start: b.start,
		ExchangesUnderWay: b.gauges.underWay(),
		CacheBytes:        read(b.gauges.CacheBytes),
		CacheEntries:      read(b.gauges.CacheEntries),
		RedisUp:           read(b.gauges.RedisUp),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.second(now)
	s.WindowSeconds = min(n, windowSeconds)
	b.fillCounts(&s, n)
	s.Clients = topRows(b.clients.rows(n), func(r row[string]) ClientCount {
		return ClientCount{r.key, r.requests, r.special, mean(r.requests, s.WindowSeconds), r.recent.standing.at(now)}
	})
	s.Stores = topRows(b.stores.rows(n), func(r row[Place]) StoreCount {
		return StoreCount{Place: r.key, Requests: r.requests, Hits: r.special, PerSecond: mean(r.requests, s.WindowSeconds)}
	})
	s.Refusals = b.lastRefusals()
	s.Shadow, s.PolicyErrors = b.shadow.rows(n), b.failing.rows(n)
	s.Regions = b.regionRows(n)
	return s
}

// fillCounts writes all counts and quantiles into s, as of second n.
func (b *Board) fillCounts(s *Snapshot, n int64) {
	recent, whole := b.window.sum(n, nowSeconds), b.window.sum(n, windowSeconds)
	count := func(c counter) Count {
		return Count{PerSecond: mean(recent.counts[c], min(n, nowSeconds)), Window: whole.counts[c], Total: b.totals[c]}
	}
	for _, o := range Outcomes() {
		s.Outcomes = append(s.Outcomes, OutcomeCount{o, count(counter(o))})
	}
	s.Codes = []CodeCount{}
	for i, code := range b.codes {
		s.Codes = append(s.Codes, CodeCount{code, count(firstCode + counter(i))})
	}
	s.Lookups, s.Upstream = count(lookups), count(asked)
	s.Received, s.Sent = count(received), count(transmitted)
	s.Saved, s.UpstreamUnits = Saved{count(spared), count(sparing)}, count(asking)
	s.Latencies = Latencies{
		All:      quantiles(&whole.timings[timeAll]),
		Hit:      quantiles(&whole.timings[timeHit]),
		Upstream: quantiles(&whole.timings[timeUpstream]),
	}
}

// lastRefusals returns the last refusals, the latest first.
func (b *Board) lastRefusals() []Refusal {
	last := make([]Refusal, 0, maxRefusals)
	for i := b.refused - 1; i >= max(0, b.refused-maxRefusals); i-- {
		last = append(last, b.refusals[i%maxRefusals])
	}
	return last
}

// topRows turns the first of rows into what is shown; never nil, so that JSON says [].
func topRows[K comparable, R any](rows []row[K], show func(row[K]) R) []R {
	top := make([]R, 0, topNamed)
	for _, r := range rows[:min(len(rows), topNamed)] {
		top = append(top, show(r))
	}
	return top
}

func quantiles(h *histogram) Quantiles {
	ms := func(q float64) float64 { return float64(h.quantile(q).Microseconds()) / 1000 }
	return Quantiles{Count: h.count(), P50: ms(0.50), P95: ms(0.95), P99: ms(0.99)}
}

// mean returns n per second, 0 before the first second is over.
func mean(n, seconds int64) float64 {
	if seconds == 0 {
		return 0
	}
	return float64(n) / float64(seconds)
}
