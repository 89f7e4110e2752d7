package auth

import (
	"slices"
	"strings"
	"time"

	"osgate/internal/breaker"
)

// PlaneState says whether a control plane answers.
type PlaneState struct {
	Plane      string
	OK         bool          // it is asked; false after three failures in a row, until a probe succeeds
	Since      time.Time     // when OK took its value
	LastError  string        // of the latest failure, without secrets; kept after a recovery, empty before the first
	RetryAfter time.Duration // until it may be asked again; 0 while OK, or when it may be at once
	Breaker    string        // "closed" while OK, else "open", or "half-open" while a probe finds out
}

// How a plane that fails is left alone.
const (
	tripAfter     = 3 // in a row; one or two may be the fault of the tokens asked about
	minProbeDelay = time.Second
	maxProbeDelay = 10 * time.Second
	calm          = 30 * time.Second
)

// plane is what is known of a control plane. The Authenticator's lock is around all of it.
type plane struct {
	breaker    breaker.Breaker
	state      PlaneState
	listed     bool      // it was, or is about to be, asked whose a token is
	allowance  Allowance // as the answer to the latest asking reports it
	reports    [2]report // of the allowance, by any answer: the latest, and the latest to another caller
	calls      int       // calls of clients under way to it
	lookups    int       // askings under way to it
	quietUntil time.Time // until when nothing is asked that nobody waits for, because it answered 429
}

// plane returns what is known of a control plane that is asked whose tokens are. The caller
// holds mu.
func (a *Authenticator) plane(name string) *plane {
	p := a.entry(name)
	p.listed = true
	return p
}

// entry returns what is known of a control plane. The caller holds mu.
func (a *Authenticator) entry(name string) *plane {
	p, ok := a.planes[name]
	if !ok {
		o := breaker.Options{TripAfter: tripAfter, MinDelay: minProbeDelay, MaxDelay: maxProbeDelay, Calm: calm}
		p = &plane{breaker: breaker.New(o), state: PlaneState{Plane: name, OK: true, Since: time.Now()}}
		a.planes[name] = p
	}
	return p
}

// busy reports whether p has better to do than what nobody waits for: less than a fifth of its allowance is left, or it answered 429.
func (p *plane) busy(now time.Time) bool {
	return now.Before(p.quietUntil) || now.Before(p.allowance.Reset) && p.allowance.Remaining < (p.allowance.Limit+4)/5
}

// probeDue reports whether p is down and a probe may find out whether it still is.
func (p *plane) probeDue(now time.Time) bool {
	return !p.breaker.Closed() && p.breaker.RetryAfter(now) == 0
}

// down returns the error of who may not ask p now.
func (p *plane) down(now time.Time) error {
	return &UnavailableError{Plane: p.state.Plane, RetryAfter: max(p.breaker.RetryAfter(now), minInterval), Cause: errDown}
}

// learn notes the allowance that the answer to an asking for caller reports.
func (p *plane) noteLookup(caller string, result Allowance) {
	if result.Limit > 0 {
		p.allowance = result
		p.note(caller, result)
	}
}

// settle takes the outcome of an asking and reports whether that changed p's state. A refusal is an answer, for which failure is nil; so is an unclear
// one, which is no trouble of the plane.
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

// Planes returns the state of each control plane that was asked so far, by name.
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

// tell hands the changes that nobody was told yet to OnChange, in their order and without holding mu, so that it may call Planes.
func (a *Authenticator) notify() {
	if a.options.OnChange == nil {
		return
	}
	a.notifying.Lock()
	defer a.notifying.Unlock()
	a.mu.Lock()
	changes := a.changes
	a.changes = nil
	a.mu.Unlock()
	for _, s := range changes {
		a.options.OnChange(s)
	}
}
