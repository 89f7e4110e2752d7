package ratelimit

import (
	"context"
	"sync/atomic"
	"time"
)

// Failures slows down who guesses: a key (a client's address, say) may fail as often
// as a quota allows, and is blocked for a while when it has done so.
//
// The failures are counted by a limiter, over all replicas if it is one that counts
// so; each replica learns that a key is blocked at the key's next failure there, and
// remembers it for at most 65,536 keys. So over n replicas, n−1 more than the quota
// may fail. A Failures is safe for concurrent use.
type Failures struct {
	limiter Limiter
	quota   Quota
	start   time.Time
	latest  atomic.Int64    // until when any key is blocked
	blocked *table[blocked] // by the hash of the key
}

// blocked is until when a key is, in nanoseconds since Failures's start.
type blocked int64

func (b blocked) expiry() int64 { return int64(b) }

// NewFailures returns a Failures in which nobody has failed. limiter counts, against
// q; if that has no Rate, nobody is ever blocked.
func NewFailures(limiter Limiter, q Quota) *Failures {
	return &Failures{limiter: limiter, quota: q, start: time.Now(), blocked: newTable[blocked](defaultMaxKeys)}
}

// Blocked returns for how long key must not be let try again, as far as this process
// knows: 0 if it may. It asks nobody and does not wait.
func (f *Failures) Blocked(key string) time.Duration {
	now := int64(time.Since(f.start))
	if f.latest.Load() <= now { // nobody is, as nearly always
		return 0
	}
	hash := failuresKey(key)
	s := f.blocked.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(time.Duration(int64(s.entries[hash])-now), 0)
}

// Failed counts a failure of key, and blocks it where no more are left. It takes as
// long as the limiter, also if ctx ends: who fails and leaves has failed. Where the
// limiter cannot decide, nothing is remembered.
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

// maxDebt bounds for how long failures that came at once, beyond what was left, block a key.
const maxDebt = 5 * time.Minute

// until is when a key that is blocked until old is blocked no more: when there will be a unit again; and the time of one unit later for each failure that
// found none, because many may be under way when the last unit is taken.
func (f *Failures) until(r Result, old, now int64) int64 {
	until := max(old, now+int64(r.RetryAfter))
	if !r.Allowed {
		until += int64(f.quota.normal().interval())
	}
	return min(until, now+int64(maxDebt))
}

func failuresKey(key string) string { return Key("failures", key) }
