// Package breaker is a circuit breaker as a pure state machine: it decides whether
// calls to a dependency that keeps failing are made, and when one probe checks whether
// the dependency works again.
//
// A [Breaker] is closed while the dependency answers, opens after several failures in a
// row, and is half open while one probe is under way. It has no clock and no lock: the
// owner provides both, so it suits any kind of call.
package breaker

import "time"

// Verdict is the decision of a [Breaker] about one call.
type Verdict int

// The verdicts.
const (
	Pass   Verdict = iota // make the call, and report its outcome to Settle
	Refuse                // do not make the call
	Probe                 // a probe is due: make it, and report its outcome to Probed
)

// Options define when a [Breaker] opens and how often it probes.
type Options struct {
	// TripAfter is the number of failures in a row that open it. A value below 1 means
	// 1.
	TripAfter int
	// TripOver is how long all calls must have been late before lateness opens the
	// breaker. A dependency that is slow for a moment, or a busy machine, makes many
	// calls late at the same time. Calls that failed for other reasons need no such
	// time.
	TripOver time.Duration
	// MinDelay is the time from the opening to the first probe. The delay doubles with
	// each probe that fails, up to MaxDelay.
	MinDelay, MaxDelay time.Duration
	// Calm is how long the breaker must have been closed before the next outage starts
	// with MinDelay again. It limits the number of changes if a dependency keeps
	// failing and recovering.
	Calm time.Duration
}

// Breaker decides whether calls to a dependency are made. Make it by [New]. It is not
// safe for concurrent use: the owner holds its own lock around all calls.
type Breaker struct {
	o Options

	phase    phase
	round    uint64        // how many times it has opened or closed
	failures int           // failures in a row while closed, without late calls
	late     int           // calls in a row that were late while closed
	lateAt   time.Time     // when the first of the late calls was reported
	delay    time.Duration // between probes
	retryAt  time.Time     // when the next probe is due, while open
	closedAt time.Time     // when it last closed; zero if it never opened
}

type phase int

const (
	closed phase = iota
	open
	halfOpen
)

// New returns a closed Breaker.
func New(o Options) Breaker {
	o.MinDelay = min(o.MinDelay, o.MaxDelay)
	return Breaker{o: o}
}

// Closed reports whether calls to the dependency are made.
func (b *Breaker) Closed() bool { return b.phase == closed }

// String returns "closed", "open" or "half-open".
func (b *Breaker) String() string { return [...]string{"closed", "open", "half-open"}[b.phase] }

// RetryAfter returns the time until the next probe may be due: 0 if the breaker is
// closed or a probe is due, and the next delay if a probe is under way.
func (b *Breaker) RetryAfter(now time.Time) time.Duration {
	switch b.phase {
	case open:
		return max(0, b.retryAt.Sub(now))
	case halfOpen:
		return b.next()
	default:
		return 0
	}
}

// Admit returns the verdict for one call. round identifies the period that the outcome
// of a passed call belongs to. A caller that gets Probe must call Probed.
func (b *Breaker) Admit(now time.Time) (round uint64, v Verdict) {
	switch {
	case b.phase == closed:
		return b.round, Pass
	case b.phase == open && !now.Before(b.retryAt):
		b.phase = halfOpen
		return b.round, Probe
	}
	return b.round, Refuse
}

// Settle records the outcome of a call that was passed in round, and reports whether
// the breaker opened. Outcomes of an earlier round are ignored, because the state has
// changed since.
func (b *Breaker) Settle(round uint64, ok bool, now time.Time) (changed bool) {
	if b.phase != closed || round != b.round {
		return false
	}
	if ok {
		b.failures, b.late = 0, 0
		return false
	}
	b.failures++
	return b.trip(b.failures, now)
}

// Late records that a call that was passed in round was not answered in time, and
// reports whether the breaker opened.
func (b *Breaker) Late(round uint64, now time.Time) (changed bool) {
	if b.phase != closed || round != b.round {
		return false
	}
	if b.late++; b.late == 1 {
		b.lateAt = now
	}
	if now.Sub(b.lateAt) < b.o.TripOver {
		return false
	}
	return b.trip(b.late+b.failures, now)
}

// trip opens the breaker after enough failures in a row, and reports whether it opened.
func (b *Breaker) trip(failures int, now time.Time) bool {
	if failures < b.o.TripAfter {
		return false
	}
	if b.closedAt.IsZero() || now.Sub(b.closedAt) >= b.o.Calm {
		b.delay = 0
	}
	b.open(now)
	b.round++
	return true
}

// ProbedLate records that a probe was not answered in time, whether it was due or not,
// and reports whether the breaker opened.
func (b *Breaker) ProbedLate(now time.Time) (changed bool) {
	if b.phase == closed {
		return b.Late(b.round, now)
	}
	return b.Probed(false, now)
}

// Probed records the outcome of a probe, whether it was due or not, and reports whether
// the breaker opened or closed.
func (b *Breaker) Probed(ok bool, now time.Time) (changed bool) {
	if b.phase == closed {
		return b.Settle(b.round, ok, now)
	}
	if !ok {
		b.open(now)
		return false
	}
	b.phase, b.failures, b.late, b.closedAt = closed, 0, 0, now
	b.round++
	return true
}

// open schedules the next probe.
func (b *Breaker) open(now time.Time) {
	b.phase = open
	b.delay = b.next()
	b.retryAt = now.Add(b.delay)
}

// next returns the delay after the current one.
func (b *Breaker) next() time.Duration { return min(max(2*b.delay, b.o.MinDelay), b.o.MaxDelay) }
