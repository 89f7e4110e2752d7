package ratelimit

import (
	"math"
	"time"
)

// Algorithm is how a quota's units are spread over time.
type Algorithm string

// The algorithms, by their names in OSGATE_RATE_ALGORITHM.
const (
	// AlgorithmGCRA admits Burst units at once and then one each Period/Rate: at most
	// Burst + Rate·t/Period in any time t, so up to 19 in the first second of 10 a
	// second with a burst of 10. It is the default.
	AlgorithmGCRA Algorithm = "gcra"
	// AlgorithmWindow admits at most Rate units in any Period, even all at once. A
	// Period is half-open: a unit taken at t is available again at exactly t+Period.
	AlgorithmWindow Algorithm = "window"
)

// MaxWindowRate is the largest Rate of a quota by [AlgorithmWindow], which remembers
// that many instants for each key. A larger one counts as this.
const MaxWindowRate = 1000

// Quota is the number of units that a key may take.
type Quota struct {
	// Rate is the number of units in each Period. Zero or less: no limit.
	Rate int
	// Period is the time that Rate refers to. Zero or less means one second.
	Period time.Duration
	// Burst is how many units may be taken at once after a pause. Less than one means
	// one, which spaces units evenly from the first. AlgorithmWindow ignores it.
	Burst int
	// Algorithm is how units are spread. Any value except AlgorithmWindow means
	// AlgorithmGCRA.
	Algorithm Algorithm
}

// unlimited reports whether q admits everything.
func (q Quota) unlimited() bool { return q.Rate <= 0 }

// normal returns q with its defaults and bounds applied. The burst of a window is its
// rate: so many units are available after a pause.
func (q Quota) normal() Quota {
	if q.Period <= 0 {
		q.Period = time.Second
	}
	if q.Algorithm != AlgorithmWindow {
		q.Algorithm = AlgorithmGCRA
		q.Burst = max(q.Burst, 1)
		return q
	}
	q.Period = min(q.Period, horizon)
	q.Rate = min(q.Rate, MaxWindowRate)
	q.Burst = q.Rate
	return q
}

// interval returns the average time between two units of a normal quota, and in GCRA
// the time between any two after the burst. It is rounded up, so that never more than
// Rate fit into a Period.
func (q Quota) interval() time.Duration {
	return divideUp(q.Period, q.Rate)
}

// divideUp returns d/n rounded up. Both are positive.
func divideUp(d time.Duration, n int) time.Duration { return (d-1)/time.Duration(n) + 1 }

// times returns n·d, or the longest Duration if that is longer. Neither is negative.
func times(d time.Duration, n int) time.Duration {
	if n > 0 && d > math.MaxInt64/time.Duration(n) {
		return math.MaxInt64
	}
	return d * time.Duration(n)
}
