package ratelimit

import (
	"context"
	"time"
)

// LocalOptions configures a [Local].
type LocalOptions struct {
	// MaxKeys bounds the keys remembered for each algorithm. Zero means 65,536. A key
	// takes about 100 bytes with GCRA; with a window 200, and 8 for each unit that it
	// took within one Period, rounded up to a power of two but no more than the Rate:
	// 18 MB for 65,536 keys at 10 a second, 0.5 GB at 1,000 a second.
	MaxKeys int
}

// Local is a [Limiter] for this process only: exact to the nanosecond, by the process's
// monotonic clock.
//
// It remembers a key until its whole burst (or window) is available again. If more than
// MaxKeys keys are remembered, each new key replaces one of those closest to that time,
// which then has its whole burst at once.
type Local struct {
	start    time.Time
	arrivals *table[arrival] // of keys with GCRA
	windows  *table[*window] // of keys with a window
}

var _ Limiter = (*Local)(nil)

// arrival is a theoretical arrival time, in nanoseconds since the start of Local. At
// that instant the key has its whole burst again.
type arrival int64

func (a arrival) expiry() int64 { return int64(a) }

// NewLocal returns a Local from which no unit has been taken.
func NewLocal(o LocalOptions) *Local {
	return &Local{start: time.Now(), arrivals: newTable[arrival](o.MaxKeys), windows: newTable[*window](o.MaxKeys)}
}

// Take implements [Limiter]. Its error is nil, also if ctx has ended.
func (l *Local) Take(_ context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	if q = q.normal(); q.Algorithm == AlgorithmWindow {
		return l.takeWindow(key, q), nil
	}
	s := l.arrivals.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := int64(time.Since(l.start)) // under the lock, so that it never runs backwards for a key
	tat, result := step(int64(s.entries[key]), now, q)
	if result.Allowed {
		s.put(key, arrival(tat), now)
	}
	return result, nil
}

func (l *Local) takeWindow(key string, q Quota) Result {
	s := l.windows.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := int64(time.Since(l.start))
	w, ok := s.entries[key]
	if !ok {
		w = &window{}
		s.put(key, w, now)
	}
	return w.take(now, q)
}
