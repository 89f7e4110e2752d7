package board

import (
	"iter"
	"time"

	"osgate/record"
)

// nowSeconds is the number of complete seconds of which PerSecond is the mean. Fewer
// seconds make it unsteady, more make it late.
const nowSeconds = 5

// Snapshot is the state of a [Board] at one instant, in the JSON form that the
// operator's page reads.
type Snapshot struct {
	Time  time.Time `json:"time"`
	Start time.Time `json:"start"` // when the totals began

	// WindowSeconds is the number of complete seconds in "window": 60, or fewer after a
	// start. The current second is only in the totals.
	WindowSeconds int64 `json:"windowSeconds"`

	Outcomes  []OutcomeCount `json:"outcomes"` // all of them, in a fixed order
	Codes     []CodeCount    `json:"codes"`    // problem codes since the start, in the order of their first occurrence
	Latencies Latencies      `json:"latencies"`
	Lookups   Count          `json:"lookups"`  // cacheable reads; those with outcome "hit" were answered from the cache
	Upstream  Count          `json:"upstream"` // requests sent upstream
	Received  Count          `json:"received"` // bytes of bodies from clients
	Sent      Count          `json:"sent"`     // bytes of bodies to clients
	Saved     Saved          `json:"saved"`

	UpstreamUnits Count `json:"upstreamUnits"` // billing units of Object Store, see [record.Exchange.BilledUnits]

	Clients  []ClientCount `json:"clients"` // at most 50, the most requests in the window first
	Stores   []StoreCount  `json:"stores"`  // the same for stores
	Refusals []Refusal     `json:"refusals"`

	Shadow       []RuleCount `json:"shadow"`       // refusals that policy rules in shadow mode would have caused
	PolicyErrors []RuleCount `json:"policyErrors"` // policy rules whose evaluation failed
	Rules        []RuleCount `json:"-"`            // requests that a policy rule decided, for the list of rules

	Regions []RegionCount `json:"-"` // with traffic in the last minute, sorted by name; for the page's list of parts

	// Values of [Gauges]; absent without a function.
	ExchangesUnderWay *int64 `json:"exchangesUnderWay,omitempty"`
	CacheBytes        *int64 `json:"cacheBytes,omitempty"`
	CacheEntries      *int64 `json:"cacheEntries,omitempty"`
	RedisUp           *bool  `json:"redisUp,omitempty"`
}

// Count is a number of events or bytes.
type Count struct {
	PerSecond float64 `json:"perSecond"` // mean of the last 5 complete seconds
	Window    int64   `json:"window"`    // in the window
	Total     int64   `json:"total"`     // since the start
}

// Saved contains the requests that the cache saved.
type Saved struct {
	Requests Count `json:"requests"` // answered without a request to upstream
	Units    Count `json:"units"`    // their billing units, see [record.Exchange.CountedUnits]
}

// OutcomeCount is a [Count] of exchanges with one outcome.
type OutcomeCount struct {
	Outcome record.Outcome `json:"outcome"`
	Count
}

// CodeCount is a [Count] of exchanges that were answered with one problem code.
type CodeCount struct {
	Code string `json:"code"`
	Count
}

// Latencies are durations within the window.
type Latencies struct {
	All      Quantiles `json:"all"`      // of every exchange, to the answer's last byte
	Hit      Quantiles `json:"hit"`      // of those answered from the cache
	Upstream Quantiles `json:"upstream"` // upstream part of forwarded exchanges, to the first byte of the answer
}

// Quantiles contains the median, the 95th and the 99th percentile of durations in
// milliseconds, at most one eighth too high. They are 0 if Count is 0.
type Quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

// ClientCount contains the counts of a client in the window.
type ClientCount struct {
	Principal string  `json:"principal"`
	Requests  int64   `json:"requests"`
	Refused   int64   `json:"refused"`
	PerSecond float64 `json:"perSecond"` // mean of the window
	QuotaState
}

// StoreCount contains the counts of a store in the window, without refused exchanges.
type StoreCount struct {
	Place
	Requests  int64   `json:"requests"`
	Hits      int64   `json:"hits"`
	Misses    int64   `json:"misses"`    // cacheable reads that the cache did not answer
	PerSecond float64 `json:"perSecond"` // mean of the window
}

// Refusal is an exchange that was answered with a problem code.
type Refusal struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"requestId"`
	Code      string    `json:"code"`
	Status    int       `json:"status"`
	Principal string    `json:"principal,omitempty"` // empty if the client was not identified
	Operation string    `json:"operation,omitempty"` // empty if the request was no operation
	Rule      string    `json:"rule,omitempty"`      // the policy rule, if Code is "denied"
}

// Gauges contains functions that return current values of other packages. They are
// called for each [Snapshot]. A nil function is not shown. The functions are called by
// many goroutines at once and must not block.
type Gauges struct {
	// ExchangesUnderWay reports how many exchanges of each method are under way.
	ExchangesUnderWay func(report func(method string, n int64))

	CacheBytes   func() int64 // memory of the cached answers in this process
	CacheEntries func() int64
	RedisUp      func() bool // whether Redis answers; nil in embedded mode
}

// Snapshot returns the state at now, which must be the present time. It blocks Keep for
// about 0.3 ms.
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
		return ClientCount{r.key, r.requests, r.special, mean(r.requests, s.WindowSeconds), r.recent.quota.at(now)}
	})
	s.Stores = topRows(b.stores.rows(n), func(r row[Place]) StoreCount {
		return StoreCount{
			Place: r.key, Requests: r.requests, Hits: r.special, Misses: r.recent.misses(n),
			PerSecond: mean(r.requests, s.WindowSeconds),
		}
	})
	s.Refusals = b.lastRefusals(maxShownRefusals, func(*Refusal) bool { return true })
	s.Shadow, s.PolicyErrors, s.Rules = b.shadow.rows(n), b.failing.rows(n), b.deciding.rows(n)
	s.Regions = b.regionRows(n)
	return s
}

// IDs returns the ids of clients, organizations and environments in s. An id may occur
// more than once.
func (s *Snapshot) IDs() iter.Seq[string] {
	return func(yield func(id string) bool) {
		for _, c := range s.Clients {
			if !yield(c.Principal) {
				return
			}
		}
		for _, at := range s.Stores {
			if !yield(at.Organization) || !yield(at.Environment) {
				return
			}
		}
		for _, r := range s.Refusals {
			if !yield(r.Principal) {
				return
			}
		}
	}
}

// underWay returns how many exchanges of all methods are under way, nil if there is no
// function.
func (g *Gauges) underWay() *int64 {
	if g.ExchangesUnderWay == nil {
		return nil
	}
	all := int64(0)
	g.ExchangesUnderWay(func(_ string, n int64) { all += n })
	return &all
}

// read returns the result of f, nil without a function.
func read[T any](f func() T) *T {
	if f == nil {
		return nil
	}
	return new(f())
}

// fillCounts writes all counts and quantiles to s, as of second n.
func (b *Board) fillCounts(s *Snapshot, n int64) {
	recent, whole := b.window.sum(n, nowSeconds), b.window.sum(n, windowSeconds)
	count := func(c counter) Count {
		return Count{PerSecond: mean(recent.counts[c], min(n, nowSeconds)), Window: whole.counts[c], Total: b.totals[c]}
	}
	for _, o := range record.Outcomes() {
		s.Outcomes = append(s.Outcomes, OutcomeCount{o, count(counter(o))})
	}
	s.Codes = []CodeCount{}
	for i, code := range b.codes {
		s.Codes = append(s.Codes, CodeCount{code, count(firstCode + counter(i))})
	}
	s.Lookups, s.Upstream = count(lookups), count(upstreamRequests)
	s.Received, s.Sent = count(received), count(transmitted)
	s.Saved, s.UpstreamUnits = Saved{count(savedRequests), count(savedUnits)}, count(upstreamUnits)
	s.Latencies = Latencies{
		All:      quantiles(&whole.timings[timeAll]),
		Hit:      quantiles(&whole.timings[timeHit]),
		Upstream: quantiles(&whole.timings[timeUpstream]),
	}
}

// lastRefusals returns the last refusals that match, at most the given number, the
// latest first; never nil.
func (b *Board) lastRefusals(most int, match func(r *Refusal) bool) []Refusal {
	last := make([]Refusal, 0, most)
	for i := b.refused - 1; i >= max(0, b.refused-MaxRefusals) && len(last) < most; i-- {
		if r := &b.refusals[i%MaxRefusals].Refusal; match(r) {
			last = append(last, *r)
		}
	}
	return last
}

// topRows converts the first rows with show. It is never nil, so that JSON has [].
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

// mean returns n per second, or 0 in the first second.
func mean(n, seconds int64) float64 {
	if seconds == 0 {
		return 0
	}
	return float64(n) / float64(seconds)
}
