package regionmap

import (
	"slices"
	"strings"
	"sync"
	"time"

	"osgate/internal/breaker"
)

// How a location that swallows connections is left alone.
const (
	reachTripAfter = 5 // in a row; existing connections that still answer are between
	reachMinDelay  = time.Second
	reachMaxDelay  = 5 * time.Second
	reachCalm      = 30 * time.Second
)

// Reach remembers at which locations connections come about, so that one that swallows them costs one request its patience and not every request: a
// circuit breaker for each location. It opens after five connections in a row that did not come about in time while nothing else was answered. From then
// on one request in a second, later in five, finds out; the others are to be told at once.
//
// What fails at once (a refused connection, an unknown name) says nothing: asking costs nothing there, and finds out by itself. What fails late on a
// connection that did come about may be the fault of what was asked, and says nothing either.
//
// The zero Reach is ready. It is safe for concurrent use, and bounded by the locations there are. It knows no clock and no network: callers bring both.
type Reach struct {
	mu        sync.Mutex // guards all below
	locations map[Location]*reached
}

// reached is what is known of one location.
type reached struct {
	breaker breaker.Breaker
	since   time.Time // when it last opened or closed
	cause   string    // of the latest failure
}

// ReachState says whether connections to a location come about.
type ReachState struct {
	Location  Location
	OK        bool      // it is asked
	Since     time.Time // when OK took its value; zero: it always had it
	LastError string    // of the latest connection that did not come about; kept after a recovery, empty before the first
	Breaker   string    // "closed" while OK, else "open", or "half-open" while a probe finds out
}

// Approach is the leave to ask a location once or, after an answer of 429, more often. It belongs to one exchange and must be left in the end.
type Approach struct {
	reach    *Reach
	location Location
	round    uint64
	probe    bool // it is the one that finds out, and has not yet
}

// Approach asks for leave to ask a location. Where ok is false it is left alone for now.
func (r *Reach) Approach(l Location, now time.Time) (a Approach, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	round, verdict := r.location(l).breaker.Admit(now)
	if verdict == breaker.Refuse {
		return Approach{}, false
	}
	return Approach{reach: r, location: l, round: round, probe: verdict == breaker.Probe}, true
}

// Probes reports whether a finds out for others whether its location is back.
func (a *Approach) Probes() bool { return a.probe }

// Reached says that a connection came about, or an answer over an older one. It returns the location's state if that has changed.
func (a *Approach) Reached(now time.Time) (s ReachState, changed bool) {
	return a.settle(true, "", now)
}

// Swallowed says that no connection came about in time; cause says of what, for people.
func (a *Approach) Swallowed(cause string, now time.Time) (s ReachState, changed bool) {
	return a.settle(false, cause, now)
}

// Leave gives the leave back. Where a probe has found nothing out, the next one is due after a longer delay. The zero Approach may be left.
func (a *Approach) Leave(now time.Time) {
	if a.probe {
		a.settle(false, "", now)
	}
}

func (a *Approach) settle(ok bool, cause string, now time.Time) (s ReachState, changed bool) {
	if a.reach == nil {
		return s, false
	}
	a.reach.mu.Lock()
	defer a.reach.mu.Unlock()
	at := a.reach.location(a.location)
	if cause != "" {
		at.cause = cause
	}
	if a.probe {
		a.probe = false
		changed = at.breaker.Probed(ok, now)
	} else {
		changed = at.breaker.Settle(a.round, ok, now)
	}
	if changed {
		at.since = now
	}
	return at.state(a.location), changed
}

// location returns what is known of l. The caller holds mu.
func (r *Reach) location(l Location) *reached {
	at, ok := r.locations[l]
	if !ok {
		o := breaker.Options{TripAfter: reachTripAfter, MinDelay: reachMinDelay, MaxDelay: reachMaxDelay, Calm: reachCalm}
		at = &reached{breaker: breaker.New(o)}
		if r.locations == nil {
			r.locations = map[Location]*reached{}
		}
		r.locations[l] = at
	}
	return at
}

func (at *reached) state(l Location) ReachState {
	return ReachState{Location: l, OK: at.breaker.Closed(), Since: at.since, LastError: at.cause, Breaker: at.breaker.String()}
}

// States returns the state of each location approached so far, by plane and region.
func (r *Reach) States() []ReachState {
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make([]ReachState, 0, len(r.locations))
	for l, at := range r.locations {
		states = append(states, at.state(l))
	}
	slices.SortFunc(states, func(a, b ReachState) int { return strings.Compare(a.Location.String(), b.Location.String()) })
	return states
}
