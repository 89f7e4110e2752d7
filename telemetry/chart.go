package telemetry

import (
	"math"
	"strconv"
	"time"

	"osgate/record"
)

// chartSlots is how many complete slots are kept for charts: those of 15 minutes.
const chartSlots = 15 * 60 / slotSeconds

// The durations that charts show.
const (
	chartAll      = iota // of every exchange
	chartUpstream        // upstream's part of those that were forwarded
	chartTimings
)

// point is what a chart shows of one slot.
type point struct {
	outcomes [outcomes]uint32
	refused  [maxCodes]uint32 // by the code's place after firstCode
	lookups  uint32
	timings  [chartTimings]Quantiles
}

// chart holds the slot that is running and a point for each complete one, about 45 KB. It is not safe for concurrent use.
type chart struct {
	running point
	timings [chartTimings]histogram // of the running slot; its point gets them when it is complete
	points  [chartSlots]point
	newest  int64 // the number of the running slot
}

// add counts x in slot n. Code is the counter of its problem code, if it has one.
func (c *chart) add(n int64, outcome Outcome, code counter, x *record.Exchange) {
	c.advance(n)
	c.running.outcomes[outcome]++
	if outcome == OutcomeRefused {
		c.running.refused[code-firstCode]++
	}
	if x.Cache != "" {
		c.running.lookups++
	}
	c.timings[chartAll].add(x.Duration)
	if x.UpstreamAttempts > 0 {
		c.timings[chartUpstream].add(x.UpstreamDuration)
	}
}

// advance makes slot n the running one; those that nothing came in are empty.
func (c *chart) advance(n int64) {
	if n <= c.newest {
		return
	}
	for i := range c.timings {
		c.running.timings[i] = quantiles(&c.timings[i])
		c.timings[i] = histogram{}
	}
	c.points[c.newest%chartSlots] = c.running
	for between := max(c.newest+1, n-chartSlots); between < n; between++ {
		c.points[between%chartSlots] = point{}
	}
	c.running, c.newest = point{}, n
}

// last returns the last complete slots at slot n, at most so many, the oldest first.
func (c *chart) last(n, most int64) []*point {
	c.advance(n)
	var points []*point
	for at := max(0, c.newest-min(most, chartSlots)); at < c.newest; at++ {
		points = append(points, &c.points[at%chartSlots])
	}
	return points
}

// MaxRecent is how far back [Board.Recent] looks at most.
const MaxRecent = chartSlots * slotSeconds * time.Second

// Recent is the traffic of the last minutes, slot by slot, in the form that the charts of the operator's page read as JSON. All series are equally long.
type Recent struct {
	Step     int                `json:"step"`     // seconds in a slot: 5
	End      time.Time          `json:"end"`      // of the last slot
	Outcomes map[Outcome]Series `json:"outcomes"` // exchanges per second; every outcome
	Refused  map[string]Series  `json:"refused"`  // those of outcome "refused" per second, by problem code; only codes that there were
	Latency  RecentLatency      `json:"latency"`
	HitRatio Series             `json:"hitRatio"` // the share of cacheable reads that was answered from the cache
}

// RecentLatency is milliseconds, as in [Latencies].
type RecentLatency struct {
	All      QuantileSeries `json:"all"`
	Upstream QuantileSeries `json:"upstream"`
}

// QuantileSeries is one series of each of the [Quantiles].
type QuantileSeries struct {
	P50 Series `json:"p50"`
	P95 Series `json:"p95"`
	P99 Series `json:"p99"`
}

// Series is one number for each slot, the oldest first; NaN where there was nothing to tell, which JSON writes as null.
type Series []float64

// MarshalJSON writes an array; it never fails.
func (s Series) MarshalJSON() ([]byte, error) {
	text := make([]byte, 0, 2+8*len(s))
	text = append(text, '[')
	for i, v := range s {
		if i > 0 {
			text = append(text, ',')
		}
		if math.IsNaN(v) {
			text = append(text, "null"...)
			continue
		}
		text = strconv.AppendFloat(text, v, 'f', -1, 64)
	}
	return append(text, ']'), nil
}

// Recent returns the complete slots of the time back before now, the present: back in whole slots, rounded up, at most [MaxRecent]; fewer where the board
// is younger. It holds Keep up while it lasts, about 0.03 ms.
func (b *Board) Recent(now time.Time, back time.Duration) Recent {
	const slot = slotSeconds * time.Second
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.second(now) / slotSeconds
	points := b.chart.last(n, int64((back+slot-1)/slot))
	since := now.Sub(b.start)
	r := Recent{Step: slotSeconds, End: now.Add(-since % slot), Outcomes: map[Outcome]Series{}, Refused: map[string]Series{}}
	for _, o := range Outcomes() {
		r.Outcomes[o] = series(points, func(p *point) float64 { return float64(p.outcomes[o]) / slotSeconds })
	}
	for i, code := range b.codes {
		if anyRefused(points, i) {
			r.Refused[code] = series(points, func(p *point) float64 { return float64(p.refused[i]) / slotSeconds })
		}
	}
	r.Latency = RecentLatency{quantileSeries(points, chartAll), quantileSeries(points, chartUpstream)}
	r.HitRatio = series(points, hitRatio)
	return r
}

// anyRefused reports whether any of points has a refusal with the code of that place.
func anyRefused(points []*point, code int) bool {
	for _, p := range points {
		if p.refused[code] > 0 {
			return true
		}
	}
	return false
}

func hitRatio(p *point) float64 {
	if p.lookups == 0 {
		return math.NaN()
	}
	return float64(p.outcomes[OutcomeHit]) / float64(p.lookups)
}

// series reads one number of each point; never nil.
func series(points []*point, read func(p *point) float64) Series {
	s := make(Series, 0, len(points))
	for _, p := range points {
		s = append(s, read(p))
	}
	return s
}

func quantileSeries(points []*point, timing int) QuantileSeries {
	of := func(read func(q Quantiles) float64) Series {
		return series(points, func(p *point) float64 {
			if p.timings[timing].Count == 0 {
				return math.NaN()
			}
			return read(p.timings[timing])
		})
	}
	return QuantileSeries{
		P50: of(func(q Quantiles) float64 { return q.P50 }),
		P95: of(func(q Quantiles) float64 { return q.P95 }),
		P99: of(func(q Quantiles) float64 { return q.P99 }),
	}
}
