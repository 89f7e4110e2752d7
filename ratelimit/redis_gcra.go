package ratelimit

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

// errOddAnswer is the error of an answer that none of our scripts gives. redis_rate
// does not check its answers: there it replaces a panic.
var errOddAnswer = errors.New("the limiter's script answered in an unknown form")

// takeGCRA decides with redis_rate. The stored TAT may not fit the quota: a TAT later
// than the whole burst was set under another quota, or before Redis's clock was set
// back, and would refuse for that long. Such a TAT is deleted, and redis_rate decides
// again: two more round trips, and one more burst.
func (l *Redis) takeGCRA(ctx context.Context, name string, q Quota) (Result, error) {
	answer, err := l.allow(ctx, name, q)
	if err != nil {
		return Result{}, err
	}
	if farthest := lifeOfTAT(q); answer.ResetAfter > farthest {
		// A key expires at its TAT. So units that other processes took meanwhile are
		// kept.
		if err := l.forget.Run(ctx, l.conn.Scripter(), []string{name}, farthest.Milliseconds()).Err(); err != nil {
			return Result{}, err
		}
		if answer, err = l.allow(ctx, name, q); err != nil {
			return Result{}, err
		}
	}
	return resultOf(answer, q), nil
}

// lifeOfTAT is longer than redis_rate keeps any key of q: the time of the whole burst
// in whole seconds, and one more.
func lifeOfTAT(q Quota) time.Duration {
	whole := min(times(q.interval(), q.Burst), horizon)
	return whole.Truncate(time.Second) + 2*time.Second
}

func (l *Redis) allow(ctx context.Context, name string, q Quota) (r *redis_rate.Result, err error) {
	defer func() {
		if recover() != nil {
			r, err = nil, errOddAnswer
		}
	}()
	return l.gcra.Allow(ctx, name, redis_rate.Limit{Rate: q.Rate, Burst: q.Burst, Period: q.Period})
}

// resultOf translates redis_rate's answer.
//
// Its script counts in seconds since 2017 as doubles, which are 60 ns apart. So its own
// Remaining is one too low for most quotas (8 after the first of ten), and its
// RetryAfter may end just before the unit is available. Therefore Remaining is
// recomputed from ResetAfter with a tolerance of a thousandth of a unit, and durations
// to wait are rounded up.
func resultOf(answer *redis_rate.Result, q Quota) Result {
	r := Result{Allowed: answer.Allowed > 0, Limit: q.Rate, ResetAfter: max(answer.ResetAfter, 0)}
	if !r.Allowed {
		r.RetryAfter = ticks(answer.RetryAfter)
		r.MoreAfter = r.RetryAfter
		return r
	}
	interval := float64(q.Period) / float64(q.Rate)
	used := math.Ceil(float64(r.ResetAfter)/interval - 1e-3)
	r.Remaining = max(min(q.Burst-int(used), q.Burst-1), 0)
	r.MoreAfter = ticks(r.ResetAfter - time.Duration(interval*float64(q.Burst-r.Remaining-1)))
	if r.Remaining == 0 {
		r.RetryAfter = r.MoreAfter
	}
	return r
}

// ticks returns d rounded up to microseconds, the resolution of Redis's clock, plus one
// for the rounding of doubles.
func ticks(d time.Duration) time.Duration {
	return max(d, 0).Truncate(time.Microsecond) + 2*time.Microsecond
}

// scripter corrects the names of redis_rate's keys: redis_rate puts "rate:" before
// every key, in front of the prefix that must come first.
type scripter struct{ redisconn.Scripter }

// Eval runs the script given as source.
func (s scripter) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return s.Scripter.Eval(ctx, script, ownNames(keys), args...)
}

// EvalSha runs a script that Redis has stored.
func (s scripter) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return s.Scripter.EvalSha(ctx, sha1, ownNames(keys), args...)
}

func ownNames(keys []string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = strings.TrimPrefix(key, "rate:")
	}
	return names
}
