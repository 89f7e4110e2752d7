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
