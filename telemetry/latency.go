package telemetry

import (
	"sync"
	"time"
)

// Latency keeps how long something took within the last minute, for the operator's page: the round trips to Redis, the askings of a control plane. It takes
// 10 KB however much is added. Make it by [NewLatency]; it is safe for concurrent use.
type Latency struct {
	start time.Time

	mu     sync.Mutex // guards spells
	spells spells
}

// NewLatency returns a Latency to which nothing was added yet.
func NewLatency() *Latency { return &Latency{start: time.Now()} }

// Add takes one duration that ended just now.
func (l *Latency) Add(took time.Duration) {
	n := slotOf(time.Since(l.start))
	l.mu.Lock()
	l.spells.at(n).add(took, false)
	l.mu.Unlock()
}

// Quantiles returns those of the last minute before now, the present.
func (l *Latency) Quantiles(now time.Time) Quantiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	return quantiles(&l.spells.sum(slotOf(now.Sub(l.start))).took)
}

// slotOf numbers the slot that is running so long after the start.
func slotOf(since time.Duration) int64 { return max(0, int64(since/(slotSeconds*time.Second))) }
