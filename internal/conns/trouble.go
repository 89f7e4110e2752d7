package conns

import (
	"sync"
	"time"
)

// Change is the beginning or the end of a trouble, or that it goes on for another minute:
// what the one log line for it holds.
type Change struct {
	Trouble Trouble
	Over    bool
	Times   int64  // how often it happened so far
	Cause   string // of the first time; empty where the trouble says it all
}

// Trouble is what can be wrong with a listener.
type Trouble uint8

const (
	// Full is that connections are closed or refused because there is no room.
	Full Trouble = iota
	// Failing is that the system gives no new connections.
	Failing
)

// calm is how long nothing must happen for a trouble to be over.
const calm = 10 * time.Second

// again is how often a trouble that goes on is reported.
const again = time.Minute

// spell is a stretch of time in which a trouble happens again and again. The zero spell
// has not begun. It is safe for concurrent use.
type spell struct {
	mu    sync.Mutex
	last  time.Time // zero: nothing happens
	told  time.Time // when the spell was last reported
	times int64
	cause string
}

// happened takes note of one more time, and reports whether the spell began with it.
func (s *spell) happened(now time.Time, cause string) (began bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if began = s.last.IsZero(); began {
		s.times, s.cause, s.told = 0, cause, now
	}
	s.last = now
	s.times++
	return began
}

// goesOn reports whether a spell is to be reported again, which it then counts as.
func (s *spell) goesOn(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() || now.Sub(s.told) < again {
		return false
	}
	s.told = now
	return true
}

// ended ends a spell in which nothing has happened lately, and reports whether it did.
func (s *spell) ended(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() || now.Sub(s.last) < calm {
		return false
	}
	s.last = time.Time{}
	return true
}

// state returns whether the spell lasts, how often it happened, and its cause.
func (s *spell) state() (lasts bool, times int64, cause string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.last.IsZero(), s.times, s.cause
}
