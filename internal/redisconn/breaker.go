package redisconn

import "time"

const (
	// tripAfter is how many round trips in a row must fail before Redis counts as
	// down. One or two may be a connection that died while idle.
	tripAfter = 3
	// maxDelay is the longest time between two probes. With a probe's own timeout it
	// keeps recovery well within two seconds of Redis's return.
	maxDelay = 500 * time.Millisecond
	// calm is how long Redis must have been up for the next outage to start with the
	// shortest delay again, so that a Redis that comes and goes makes few changes.
	calm = 10 * time.Second
)

// verdict is what the breaker says to a caller.
type verdict int

const (
	pass   verdict = iota // ask
	refuse                // do not ask
	probe                 // do not ask, but start the one probe that is due
)

// breaker decides whether Redis is asked. It is closed while Redis answers; opens
// after tripAfter failures in a row; and is half open while one probe finds out
// whether Redis is back. It knows no clock and no lock: the owner brings both.
type breaker struct {
	minDelay time.Duration

	phase    phase
	round    uint64        // counts the times it opened or closed
	failures int           // in a row, while closed
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

// newBreaker returns a closed breaker whose first probe follows minDelay after it
// opens; the delay doubles with each probe that fails, up to maxDelay.
func newBreaker(minDelay time.Duration) breaker {
	return breaker{minDelay: min(minDelay, maxDelay)}
}

func (b *breaker) closed() bool { return b.phase == closed }

// admit says what a caller is to do. The round identifies what the outcome of a
// passed call belongs to. A caller told to probe must call probed.
func (b *breaker) admit(now time.Time) (round uint64, v verdict) {
	switch {
	case b.phase == closed:
		return b.round, pass
	case b.phase == open && !now.Before(b.retryAt):
		b.phase = halfOpen
		return b.round, probe
	}
	return b.round, refuse
}

// settle takes the outcome of a call that was passed in round, and reports whether
// the breaker opened. Outcomes of an earlier round say nothing about now.
func (b *breaker) settle(round uint64, ok bool, now time.Time) (changed bool) {
	if b.phase != closed || round != b.round {
		return false
	}
	if ok {
		b.failures = 0
		return false
	}
	b.failures++
	if b.failures < tripAfter {
		return false
	}
	if b.closedAt.IsZero() || now.Sub(b.closedAt) >= calm {
		b.delay = 0
	}
	b.open(now)
	b.round++
	return true
}

// probed takes the outcome of a probe, due or not, and reports whether the breaker
// opened or closed.
func (b *breaker) probed(ok bool, now time.Time) (changed bool) {
	if b.phase == closed {
		return b.settle(b.round, ok, now)
	}
	if !ok {
		b.open(now)
		return false
	}
	b.phase, b.failures, b.closedAt = closed, 0, now
	b.round++
	return true
}

// open schedules the next probe.
func (b *breaker) open(now time.Time) {
	b.phase = open
	b.delay = min(max(2*b.delay, b.minDelay), maxDelay)
	b.retryAt = now.Add(b.delay)
}
