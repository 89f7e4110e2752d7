package conns

import (
	"context"
	"sync"
	"time"
)

// State is the current state of a listener.
type State struct {
	Full    bool // connections are closed or refused because there is no room
	Failing bool // the system returns no new connections
	Cause   string
}

// State returns the state of the listener. A problem is over ten seconds after its last
// occurrence.
func (l *Listener) State() State {
	full, _, _ := l.full.state()
	failing, _, cause := l.fails.state()
	return State{Full: full, Failing: failing, Cause: cause}
}

// lookEvery is the interval of the checks whether a problem is over.
const lookEvery = time.Second

// Run reports the end of problems, and those that last, until ctx ends. It returns nil.
func (l *Listener) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			l.follow(&l.full, Full, now)
			l.follow(&l.fails, Failing, now)
		}
	}
}

// follow reports the end of a problem, if it has ended, or that it lasts.
func (l *Listener) follow(s *episode, what Problem, now time.Time) {
	over := s.ended(now)
	if !over && !s.reportDue(now) || l.o.Changed == nil {
		return
	}
	_, times, cause := s.state()
	l.o.Changed(Change{Problem: what, Over: over, Times: times, Cause: cause})
}

// Change reports that a problem has begun, has ended, or has lasted for another minute.
// It holds the fields of one log line.
type Change struct {
	Problem Problem
	Over    bool
	Times   int64  // occurrences so far
	Cause   string // cause of the first occurrence; empty if the problem needs none
}

// Problem is a problem of a listener.
type Problem uint8

const (
	// Full: connections are closed or refused because there is no room.
	Full Problem = iota
	// Failing: the system returns no new connections.
	Failing
)

// calm is how long a problem must not occur to be over.
const calm = 10 * time.Second

// again is the interval at which a lasting problem is reported.
const again = time.Minute

// problem records one more occurrence of a problem.
func (l *Listener) problem(s *episode, what Problem, cause string) {
	if s.happened(time.Now(), cause) && l.o.Changed != nil {
		l.o.Changed(Change{Problem: what, Times: 1, Cause: cause})
	}
}

// episode is a period in which a problem occurs again and again. The zero episode has
// not begun. It is safe for concurrent use.
type episode struct {
	mu       sync.Mutex
	last     time.Time // last occurrence; zero: no episode
	reported time.Time // when the episode was last reported
	times    int64
	cause    string
}

// happened records one more occurrence, and reports whether the episode began with it.
func (s *episode) happened(now time.Time, cause string) (began bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if began = s.last.IsZero(); began {
		s.times, s.cause, s.reported = 0, cause, now
	}
	s.last = now
	s.times++
	return began
}

// reportDue reports whether a lasting episode must be reported again, and counts it as
// reported.
func (s *episode) reportDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() || now.Sub(s.reported) < again {
		return false
	}
	s.reported = now
	return true
}

// ended ends an episode without a recent occurrence, and reports whether it ended.
func (s *episode) ended(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() || now.Sub(s.last) < calm {
		return false
	}
	s.last = time.Time{}
	return true
}

// state returns whether the episode lasts, its number of occurrences, and its cause.
func (s *episode) state() (lasts bool, times int64, cause string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.last.IsZero(), s.times, s.cause
}
