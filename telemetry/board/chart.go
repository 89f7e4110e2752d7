package board

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"osgate/record"
)

// chartIntervals is the number of complete intervals that are kept for charts: 15
// minutes.
const chartIntervals = 15 * 60 / intervalSeconds

// The durations shown by charts.
const (
	chartAll      = iota // of every exchange
	chartUpstream        // the upstream part of forwarded exchanges
	chartTimings
)

// point contains the values of one interval.
type point struct {
	outcomes [record.NumOutcomes]uint32
	refused  [maxCodes]uint32 // by index of the code after firstCode
	lookups  uint32
	timings  [chartTimings]Quantiles
}

// chart holds the current interval and a point for each complete one, about 45 KB. It
// is not safe for concurrent use.
type chart struct {
	running point
	timings [chartTimings]histogram // of the current interval; copied to its point when it is complete
	points  [chartIntervals]point
	newest  int64 // the number of the current interval
}

// add counts x in interval n. code is the counter of its problem code, if it has one.
func (c *chart) add(n int64, outcome record.Outcome, code counter, x *record.Exchange) {
	c.advance(n)
	c.running.outcomes[outcome]++
	if outcome == record.OutcomeRefused {
		c.running.refused[code-firstCode]++
	}
	if !x.Cache.IsZero() {
		c.running.lookups++
	}
	c.timings[chartAll].add(x.Duration)
	if x.UpstreamAttempts > 0 {
		c.timings[chartUpstream].add(x.UpstreamDuration)
	}
}

// advance makes n the current interval. Intervals without exchanges are empty.
func (c *chart) advance(n int64) {
	if n <= c.newest {
		return
	}
	for i := range c.timings {
		c.running.timings[i] = quantiles(&c.timings[i])
		c.timings[i] = histogram{}
	}
	c.points[c.newest%chartIntervals] = c.running
	for between := max(c.newest+1, n-chartIntervals); between < n; between++ {
		c.points[between%chartIntervals] = point{}
	}
	c.running, c.newest = point{}, n
}

// last returns the complete intervals before interval n, at most the given number, the
// oldest first.
func (c *chart) last(n, most int64) []*point {
	c.advance(n)
	var points []*point
	for at := max(0, c.newest-min(most, chartIntervals)); at < c.newest; at++ {
		points = append(points, &c.points[at%chartIntervals])
	}
	return points
}

// MaxRecent is the maximum duration of [Board.Recent].
const MaxRecent = chartIntervals * intervalSeconds * time.Second

// Recent is the traffic of the last minutes in intervals, in the JSON form that the
// charts of the operator's page read. All series have the same length.
type Recent struct {
	Step     int                       `json:"step"`     // length of an interval in seconds: 5
	End      time.Time                 `json:"end"`      // of the last interval
	Outcomes map[record.Outcome]Series `json:"outcomes"` // exchanges per second, for every outcome
	// exchanges of outcome "refused" per second, by problem code; only codes that
	// occurred
	Refused  map[string]Series `json:"refused"`
	Latency  RecentLatency     `json:"latency"`
	HitRatio Series            `json:"hitRatio"` // share of cacheable reads that the cache answered
}

// RecentLatency contains durations in milliseconds, as [Latencies].
type RecentLatency struct {
	All      QuantileSeries `json:"all"`
	Upstream QuantileSeries `json:"upstream"`
}

// QuantileSeries has one series for each of the [Quantiles].
type QuantileSeries struct {
	P50 Series `json:"p50"`
	P95 Series `json:"p95"`
	P99 Series `json:"p99"`
}

// Series has one number per interval, the oldest first. A missing value is NaN, which
// JSON writes as null.
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

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Series) UnmarshalJSON(text []byte) error {
	var values []*float64
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	*s = make(Series, len(values))
	for i, v := range values {
		(*s)[i] = math.NaN()
		if v != nil {
			(*s)[i] = *v
		}
	}
	return nil
}

// Recent returns the complete intervals of the duration back before now, which must be
// the present time. back is rounded up to whole intervals, at most [MaxRecent]. A
// younger board returns fewer. Recent blocks Keep for about 0.03 ms.
func (b *Board) Recent(now time.Time, back time.Duration) Recent {
	const interval = intervalSeconds * time.Second
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.second(now) / intervalSeconds
	points := b.chart.last(n, int64((back+interval-1)/interval))
	since := now.Sub(b.start)
	r := Recent{
		Step: intervalSeconds, End: now.Add(-since % interval),
		Outcomes: map[record.Outcome]Series{}, Refused: map[string]Series{},
	}
	for _, o := range record.Outcomes() {
		r.Outcomes[o] = series(points, func(p *point) float64 { return float64(p.outcomes[o]) / intervalSeconds })
	}
	for i, code := range b.codes {
		if anyRefused(points, i) {
			r.Refused[code] = series(points, func(p *point) float64 { return float64(p.refused[i]) / intervalSeconds })
		}
	}
	r.Latency = RecentLatency{quantileSeries(points, chartAll), quantileSeries(points, chartUpstream)}
	r.HitRatio = series(points, hitRatio)
	return r
}

// anyRefused reports whether any of points has a refusal with the code of that index.
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
	return float64(p.outcomes[record.OutcomeHit]) / float64(p.lookups)
}

// series returns one number of each point; never nil.
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
