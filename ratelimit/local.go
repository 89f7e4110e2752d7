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

// Local is a [Limiter] for this process alone: exact to the nanosecond, by the
// process's monotonic clock.
//
// It remembers a key for as long as not all that may come at once is there again. If
// more than MaxKeys keys are in that state, one of those nearest to it is forgotten
// for each new one, and has all at once.
type Local struct {
	start    time.Time
	arrivals *table[arrival] // of keys with GCRA
	windows  *table[*window] // of keys with a window
}

var _ Limiter = (*Local)(nil)

// arrival is a theoretical arrival time, in nanoseconds since Local's start. At that
// instant the key is as good as new.
type arrival int64

func (a arrival) expiry() int64 { return int64(a) }

// NewLocal returns a Local in which nobody has taken anything.
func NewLocal(o LocalOptions) *Local {
	return &Local{start: time.Now(), arrivals: newTable[arrival](o.MaxKeys), windows: newTable[*window](o.MaxKeys)}
}

// Take implements [Limiter]. Its error is nil, also if ctx has ended.
func (l *Local) Take(_ context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	if q = q.normal(); q.Algorithm == AlgorithmWindow {
		return l.takeOfWindow(key, q), nil
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

func (l *Local) takeOfWindow(key string, q Quota) Result {
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
