package board

import (
	"sync"
	"time"
)

// Latency keeps the durations of the last minute for the operator's page: round trips
// to Redis, or calls to a control plane. It uses 10 KB for any number of durations.
// [NewLatency] makes it. It is safe for concurrent use.
type Latency struct {
	start time.Time

	mu        sync.Mutex // guards intervals
	intervals intervals
}

// NewLatency returns a Latency without durations.
func NewLatency() *Latency { return &Latency{start: time.Now()} }

// Add adds a duration that ended just now.
func (l *Latency) Add(took time.Duration) {
	n := intervalOf(time.Since(l.start))
	l.mu.Lock()
	l.intervals.at(n).add(took, false)
	l.mu.Unlock()
}

// Quantiles returns the quantiles of the last minute before now, which must be the
// present time.
func (l *Latency) Quantiles(now time.Time) Quantiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	return quantiles(&l.intervals.sum(intervalOf(now.Sub(l.start))).took)
}

// intervalOf returns the number of the interval that contains the time since the start.
func intervalOf(since time.Duration) int64 { return max(0, int64(since/(intervalSeconds*time.Second))) }
