// Package breaker is a circuit breaker as a pure state machine: it decides whether a
// dependency that keeps failing is asked, and who finds out whether it is back.
//
// A [Breaker] is closed while the dependency answers; opens after some failures in a
// row; and is half open while one probe finds out. It knows no clock and no lock: the
// owner brings both, and so can build on it whatever asks in whatever way.
package breaker

import "time"

// Verdict is what a [Breaker] says to a caller.
type Verdict int

// The verdicts.
const (
	Pass   Verdict = iota // ask, and tell Settle
	Refuse                // do not ask
	Probe                 // the one probe is due: see that it is made, and tell Probed
)

// Options say when a [Breaker] opens and how often it probes.
type Options struct {
	// TripAfter is how many failures in a row open it. Less than one means one.
	TripAfter int
	// TripOver is how long calls must have come late in a row, and nothing else, for
	// lateness to open it: a dependency that is slow for a moment, or a machine that is
	// busy, makes many calls late at once. Calls that failed otherwise need no time.
	TripOver time.Duration
	// MinDelay is from its opening to the first probe; the delay doubles with each
	// probe that fails, up to MaxDelay.
	MinDelay, MaxDelay time.Duration
	// Calm is how long it must have been closed for the next outage to start with
	// MinDelay again, so that what comes and goes makes few changes.
	Calm time.Duration
}

// Breaker decides whether a dependency is asked. Make it by [New]. It is not safe for
// concurrent use: the owner's lock is around all calls.
type Breaker struct {
	o Options

	phase    phase
	round    uint64        // counts the times it opened or closed
	failures int           // in a row, while closed, that were not only late
	late     int           // calls in a row that came late, or failed, while closed
	lateAt   time.Time     // when the first of them did
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

// Closed reports whether the dependency is asked.
func (b *Breaker) Closed() bool { return b.phase == closed }

// String returns "closed", "open" or "half-open".
func (b *Breaker) String() string { return [...]string{"closed", "open", "half-open"}[b.phase] }

// RetryAfter returns how long until the next probe may be due: 0 while closed or due,
// and what the next delay would be while one is under way.
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

// Admit says what a caller is to do. The round identifies what the outcome of a
// passed call belongs to. A caller told to probe must call Probed.
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

// Settle takes the outcome of a call that was passed in round, and reports whether
// the breaker opened. Outcomes of an earlier round say nothing about now.
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

// Late takes the outcome of a call that was passed in round and was not answered in
// time, and reports whether the breaker opened.
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

// trip opens the breaker where there are enough failures in a row, and reports whether
// it did.
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

// ProbedLate takes a probe that was not answered in time, due or not, and reports
// whether the breaker opened.
func (b *Breaker) ProbedLate(now time.Time) (changed bool) {
	if b.phase == closed {
		return b.Late(b.round, now)
	}
	return b.Probed(false, now)
}

// Probed takes the outcome of a probe, due or not, and reports whether the breaker
// opened or closed.
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

// next is the delay after this one.
func (b *Breaker) next() time.Duration { return min(max(2*b.delay, b.o.MinDelay), b.o.MaxDelay) }
