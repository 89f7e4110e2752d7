package ratelimit

import (
	"math"
	"time"
)

// Algorithm says how a quota's units are spread over time.
type Algorithm string

// The algorithms, by their names in OSGATE_RATE_ALGORITHM.
const (
	// AlgorithmGCRA admits Burst units at once and then one each Period/Rate: at most
	// Burst + Rate·t/Period in any time t, so up to 19 in the first second of 10 a
	// second with a burst of 10. It is what a quota without an algorithm has.
	AlgorithmGCRA Algorithm = "gcra"
	// AlgorithmWindow admits at most Rate units in any Period, all at once if they come
	// so. A Period is half-open: a unit taken at t is there again at t+Period exactly.
	AlgorithmWindow Algorithm = "window"
)

// MaxWindowRate is the largest Rate of a quota by [AlgorithmWindow], which remembers
// that many instants for each key. A larger one counts as this.
const MaxWindowRate = 1000

// Quota is how much a key may take.
type Quota struct {
	// Rate is the number of units in each Period. Zero or less: no limit.
	Rate int
	// Period is the time that Rate is meant for. Zero or less means one second.
	Period time.Duration
	// Burst is how many units may come at once after a rest. Less than one means one,
	// which spaces units evenly from the first. AlgorithmWindow does not look at it.
	Burst int
	// Algorithm says how units are spread. All but AlgorithmWindow means AlgorithmGCRA.
	Algorithm Algorithm
}

// unlimited reports whether q admits everything.
func (q Quota) unlimited() bool { return q.Rate <= 0 }

// normal returns q with its defaults and bounds in place. The burst of a window is
// its rate: so many units are there after a rest.
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

// interval is the time between two units on average, and in GCRA between any two
// once the burst is spent, of a normal quota: rounded up, so that never more than
// Rate fit into a Period.
func (q Quota) interval() time.Duration {
	return divideUp(q.Period, q.Rate)
}

// spacing is how much later than a unit that had to be waited for the nth after it
// comes at the earliest, whoever takes those between. q is normal.
func (q Quota) spacing(n int) time.Duration {
	if q.Algorithm == AlgorithmWindow {
		return times(q.Period, n/q.Rate)
	}
	return times(q.interval(), n)
}

// share returns the nth part of a normal quota. Over n replicas the rate is never
// exceeded in the long run; in any one Period, n units may come, where Rate or Burst is
// less than n, since each replica admits one at a time at least.
func (q Quota) share(n int) Quota {
	switch n = max(n, 1); {
	case q.Algorithm != AlgorithmWindow:
		q.Period = times(q.Period, n) // which leaves the rate exact
		q.Burst = max(q.Burst/n, 1)
	case q.Rate >= n:
		q.Rate /= n
	default:
		q.Rate, q.Period = 1, divideUp(times(q.Period, n), q.Rate)
	}
	return q.normal()
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
