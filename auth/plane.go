package auth

import (
	"slices"
	"strings"
	"time"

	"osgate/internal/breaker"
)

// PlaneState is whether a control plane is up.
type PlaneState struct {
	Plane      string
	OK         bool          // lookups are sent; false after three failures in a row, until a probe succeeds
	Since      time.Time     // when OK changed
	LastError  string        // of the latest failure, without secrets; kept after a recovery, empty before the first
	RetryAfter time.Duration // until the next lookup may be sent; 0 while OK, or if it may be sent at once
	Breaker    string        // "closed" while OK, "half-open" during a probe, otherwise "open"
}

// When a failing plane is considered down, and how often it is probed.
const (
	tripAfter     = 3 // in a row; one or two may be caused by the tokens
	minProbeDelay = time.Second
	maxProbeDelay = 10 * time.Second
	calm          = 30 * time.Second
)

// plane is the state of a control plane. The Authenticator's lock guards it.
type plane struct {
	breaker    breaker.Breaker
	state      PlaneState
	listed     bool      // a lookup was, or is about to be, sent to it
	allowance  Allowance // in the answer to the latest lookup
	reports    [2]report // the allowance in any answer: the latest, and the latest to another caller
	calls      int       // calls of clients under way to it
	lookups    int       // lookups under way to it
	quietUntil time.Time // no background lookups before this time, because it answered 429
}

// plane returns the state of a control plane to which a lookup is sent. The caller
// holds mu.
func (a *Authenticator) plane(name string) *plane {
	p := a.entry(name)
	p.listed = true
	return p
}

// entry returns the state of a control plane. The caller holds mu.
func (a *Authenticator) entry(name string) *plane {
	p, ok := a.planes[name]
	if !ok {
		o := breaker.Options{TripAfter: tripAfter, MinDelay: minProbeDelay, MaxDelay: maxProbeDelay, Calm: calm}
		p = &plane{breaker: breaker.New(o), state: PlaneState{Plane: name, OK: true, Since: time.Now()}}
		a.planes[name] = p
	}
	return p
}

// busy reports whether p should get no background lookups: less than a fifth of its
// allowance is left, or it answered 429.
func (p *plane) busy(now time.Time) bool {
	return now.Before(p.quietUntil) || now.Before(p.allowance.Reset) && p.allowance.Remaining < (p.allowance.Limit+4)/5
}

// probeDue reports whether p is down and the next probe is due.
func (p *plane) probeDue(now time.Time) bool {
	return !p.breaker.Closed() && p.breaker.RetryAfter(now) == 0
}

// down returns the error for a lookup that is not sent because p is down.
func (p *plane) down(now time.Time) error {
	return &UnavailableError{
		Plane: p.state.Plane, RetryAfter: max(p.breaker.RetryAfter(now), minInterval), Cause: errDown,
	}
}

// noteLookup stores the allowance in the answer to a lookup for caller.
func (p *plane) noteLookup(caller string, result Allowance) {
	if result.Limit > 0 {
		p.allowance = result
		p.note(caller, result)
	}
}

// settle records the outcome of a lookup and reports whether that changed p's state. A
// refusal is an answer, for which failure is nil. An unclear answer is no failure of
// the plane either.
func (p *plane) settle(t admission, failure *UnavailableError, now time.Time) (changed bool) {
	answered := failure == nil || failure.Answered
	if !answered {
		p.state.LastError = failure.Cause.Error()
		if failure.Limited {
			p.quietUntil = now.Add(max(failure.RetryAfter, minInterval))
		}
	}
	if t.probe {
		changed = p.breaker.Probed(answered, now)
	} else {
		changed = p.breaker.Settle(t.round, answered, now)
	}
	if changed {
		p.state.OK, p.state.Since = p.breaker.Closed(), now
	}
	return changed
}

func (p *plane) snapshot(now time.Time) PlaneState {
	s := p.state
	s.RetryAfter, s.Breaker = p.breaker.RetryAfter(now), p.breaker.String()
	return s
}

// Planes returns the state of each control plane that received a lookup so far, sorted
// by name.
func (a *Authenticator) Planes() []PlaneState {
	a.mu.Lock()
	defer a.mu.Unlock()
	states := make([]PlaneState, 0, len(a.planes))
	for _, p := range a.planes {
		if p.listed {
			states = append(states, p.snapshot(time.Now()))
		}
	}
	slices.SortFunc(states, func(x, y PlaneState) int { return strings.Compare(x.Plane, y.Plane) })
	return states
}

// notify calls OnChange for the changes not yet reported, without holding mu, so that it
// may call Planes.
func (a *Authenticator) notify() {
	if a.options.OnChange != nil {
		a.changes.Deliver(a.options.OnChange)
	}
}
