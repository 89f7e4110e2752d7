package conns

import (
	"sync"
	"time"
)

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
