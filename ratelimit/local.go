package ratelimit

import (
	"context"
	"time"
)

// LocalOptions configures a [Local].
type LocalOptions struct {
	// MaxKeys bounds the keys remembered, each about 100 bytes. Zero means 65,536.
	MaxKeys int
}

// Local is a [Limiter] for this process alone: exact to the nanosecond, by the
// process's monotonic clock.
//
// It remembers a key for as long as its burst is not whole again. If more than
// MaxKeys keys are in that state, one of those nearest to it is forgotten for each
// new one, and has its whole burst at once.
type Local struct {
	start time.Time
	keys  *table[arrival]
}

var _ Limiter = (*Local)(nil)

// arrival is a theoretical arrival time, in nanoseconds since Local's start. At that
// instant the key is as good as new.
type arrival int64

func (a arrival) expiry() int64 { return int64(a) }

// NewLocal returns a Local in which every key has its whole burst.
func NewLocal(o LocalOptions) *Local {
	return &Local{start: time.Now(), keys: newTable[arrival](o.MaxKeys)}
}

// Take implements [Limiter]. Its error is nil, also if ctx has ended.
func (l *Local) Take(_ context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	q = q.normal()
	s := l.keys.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := int64(time.Since(l.start)) // under the lock, so that it never runs backwards for a key
	tat, result := step(int64(s.entries[key]), now, q)
	if result.Allowed {
		s.put(key, arrival(tat), now)
	}
	return result, nil
}
