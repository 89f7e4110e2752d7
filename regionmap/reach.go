package regionmap

import (
	"slices"
	"strings"
	"sync"
	"time"

	"osgate/internal/breaker"
)

// The breaker of a location whose connections time out.
const (
	reachTripAfter = 5 // connections in a row; an answer on an existing connection resets the count
	reachMinDelay  = time.Second
	reachMaxDelay  = 5 * time.Second
	reachCalm      = 30 * time.Second
)

// Reach has a circuit breaker for each location, so that a location on which
// connections time out makes one request wait and not every request. The breaker opens
// after five connections in a row that were not made in time while no request was
// answered. From then on one request in a second, later in five seconds, probes; the
// others must be refused at once.
//
// Failures at once (a refused connection, an unknown name) do not count: a request
// costs no time there, and finds out by itself. Late failures on a connection that was
// made may be caused by the request, and do not count either.
//
// The zero Reach is ready to use. It is safe for concurrent use, and its size is
// limited by the number of locations. It has no clock and no network: callers provide
// both.
type Reach struct {
	mu        sync.Mutex // guards the fields below
	locations map[Location]*reached
}

// reached is the data about one location.
type reached struct {
	breaker breaker.Breaker
	since   time.Time // when it last opened or closed
	cause   string    // of the latest failure
}

// ReachState reports whether connections to a location are made.
type ReachState struct {
	Location Location
	OK       bool      // requests are sent to it
	Since    time.Time // when OK got its value; zero: at the start
	// reason of the latest connection that was not made; kept after a recovery, empty
	// before the first failure
	LastError string
	Breaker   string // "closed" while OK, otherwise "open", or "half-open" during a probe
}

// Admission is the permission to send a request to a location once or, after an answer
// of 429, more often. It belongs to one exchange, which must call Done in the end.
type Admission struct {
	reach    *Reach
	location Location
	round    uint64
	probe    bool // it is the probe, and has no result yet
}

// Admit returns an Admission for a location. If ok is false, no request may be sent to
// it now.
func (r *Reach) Admit(l Location, now time.Time) (a Admission, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	round, verdict := r.location(l).breaker.Admit(now)
	if verdict == breaker.Refuse {
		return Admission{}, false
	}
	return Admission{reach: r, location: l, round: round, probe: verdict == breaker.Probe}, true
}

// Probes reports whether a is the probe that finds out whether its location is back.
func (a *Admission) Probes() bool { return a.probe }

// Reached records that a connection was made, or that an older one answered. It returns
// the location's state if that has changed.
func (a *Admission) Reached(now time.Time) (s ReachState, changed bool) {
	return a.settle(true, "", now)
}

// TimedOut records that no connection was made in time; cause is a description for
// people.
func (a *Admission) TimedOut(cause string, now time.Time) (s ReachState, changed bool) {
	return a.settle(false, cause, now)
}

// Done ends the admission. After a probe without a result, the next one is due after a
// longer delay. The zero Admission may be ended too.
func (a *Admission) Done(now time.Time) {
	if a.probe {
		a.settle(false, "", now)
	}
}

func (a *Admission) settle(ok bool, cause string, now time.Time) (s ReachState, changed bool) {
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

// location returns the data about l. The caller must hold mu.
func (r *Reach) location(l Location) *reached {
	at, ok := r.locations[l]
	if !ok {
		o := breaker.Options{
			TripAfter: reachTripAfter, MinDelay: reachMinDelay, MaxDelay: reachMaxDelay, Calm: reachCalm,
		}
		at = &reached{breaker: breaker.New(o)}
		if r.locations == nil {
			r.locations = map[Location]*reached{}
		}
		r.locations[l] = at
	}
	return at
}

func (at *reached) state(l Location) ReachState {
	return ReachState{
		Location: l, OK: at.breaker.Closed(), Since: at.since, LastError: at.cause, Breaker: at.breaker.String(),
	}
}

// States returns the state of each location used so far, sorted by plane and region.
func (r *Reach) States() []ReachState {
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make([]ReachState, 0, len(r.locations))
	for l, at := range r.locations {
		states = append(states, at.state(l))
	}
	slices.SortFunc(states, func(a, b ReachState) int {
		return strings.Compare(a.Location.String(), b.Location.String())
	})
	return states
}
