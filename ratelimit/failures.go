package ratelimit

import (
	"context"
	"sync/atomic"
	"time"
)

// Failures slows down clients that guess credentials: a key (for example a client's
// address) may fail as often as a quota allows, and then is blocked for a while.
//
// A limiter counts the failures, over all replicas if it is shared. Each replica learns
// that a key is blocked at the key's next failure there, and remembers up to 65,536
// blocked keys. So over n replicas, n−1 more failures than the quota are possible. A
// Failures is safe for concurrent use.
type Failures struct {
	limiter Limiter
	quota   Quota
	start   time.Time
	latest  atomic.Int64    // the latest end of all blocks
	blocked *table[blocked] // by the hash of the key
}

// blocked is the end of a key's block, in nanoseconds since the start of Failures.
type blocked int64

func (b blocked) expiry() int64 { return int64(b) }

// NewFailures returns a Failures without any failure. limiter counts them against q; if
// q has no Rate, no key is ever blocked.
func NewFailures(limiter Limiter, q Quota) *Failures {
	return &Failures{limiter: limiter, quota: q, start: time.Now(), blocked: newTable[blocked](defaultMaxKeys)}
}

// Blocked returns how long key remains blocked, as far as this process knows: 0 if it
// is not. It does not call the limiter and does not wait.
func (f *Failures) Blocked(key string) time.Duration {
	now := int64(time.Since(f.start))
	if f.latest.Load() <= now { // no key is blocked: the usual case
		return 0
	}
	hash := failuresKey(key)
	s := f.blocked.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(time.Duration(int64(s.entries[hash])-now), 0)
}

// Failed counts a failure of key, and blocks key if the quota is used up. It takes as
// long as the limiter, even if ctx ends: the failure of a client that leaves counts. If
// the limiter cannot decide, the failure is not counted.
func (f *Failures) Failed(ctx context.Context, key string) {
	if f.quota.unlimited() {
		return
	}
	hash := failuresKey(key)
	r, err := f.limiter.Take(context.WithoutCancel(ctx), hash, f.quota)
	if err != nil || r.RetryAfter <= 0 {
		return
	}
	now := int64(time.Since(f.start))
	s := f.blocked.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	until := f.until(r, int64(s.entries[hash]), now)
	for old := f.latest.Load(); old < until && !f.latest.CompareAndSwap(old, until); {
		old = f.latest.Load()
	}
	s.put(hash, blocked(until), now)
}

// maxDebt bounds for how long a key is blocked by simultaneous failures beyond the
// quota.
const maxDebt = 5 * time.Minute

// until returns the new end of the block of a key that is blocked until old: when there
// will be a unit again. Each failure beyond the quota adds the time of one unit,
// because many may be under way when the last unit is taken.
func (f *Failures) until(r Result, old, now int64) int64 {
	until := max(old, now+int64(r.RetryAfter))
	if !r.Allowed {
		until += int64(f.quota.normal().interval())
	}
	return min(until, now+int64(maxDebt))
}

func failuresKey(key string) string { return Key("failures", key) }
