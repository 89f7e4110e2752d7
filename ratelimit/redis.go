package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

// Redis is a [Limiter] for all processes that use the same Redis, counted there by
// go-redis_rate with Redis's clock.
//
// A decision is one round trip, and none while the key is known to have nothing
// left: the instant until then is remembered, for at most 65,536 keys. If Redis
// loses its data, each key has at most one more burst.
type Redis struct {
	conn    *redisconn.Conn
	limiter *redis_rate.Limiter
	start   time.Time
	spent   *table[exhaustion]
}

var _ Limiter = (*Redis)(nil)

// exhaustion is what is known of a key that has nothing left. Instants are
// nanoseconds since Redis's start.
type exhaustion struct {
	until int64 // when there will be a unit, at the earliest
	reset int64 // when the burst will be whole, at the earliest
	quota Quota
}

func (e exhaustion) expiry() int64 { return e.until }

// NewRedis returns a Redis over conn, which stays the caller's to close. Its keys
// are conn's prefix, "rate", and the key as hash tag.
func NewRedis(conn *redisconn.Conn) *Redis {
	return &Redis{
		conn:    conn,
		limiter: redis_rate.NewLimiter(scripter{conn.Scripter()}),
		start:   time.Now(),
		spent:   newTable[exhaustion](defaultMaxKeys),
	}
}

// Take implements [Limiter]. An error wraps [redisconn.ErrDown] where Redis is of no
// use at present.
func (l *Redis) Take(ctx context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	q = q.normal()
	if result, ok := l.recall(key, q); ok {
		return result, nil
	}
	answer, err := l.allow(ctx, l.conn.Key("rate", key), q)
	if err != nil {
		return Result{}, fmt.Errorf("taking quota in redis: %w", err)
	}
	result := resultOf(answer, q)
	if result.Remaining == 0 {
		l.remember(key, q, result)
	}
	return result, nil
}

// recall refuses a key that is known to have nothing left yet.
func (l *Redis) recall(key string, q Quota) (r Result, ok bool) {
	s := l.spent.shard(key)
	s.mu.Lock()
	e, ok := s.entries[key]
	s.mu.Unlock()
	now := int64(time.Since(l.start))
	if !ok || e.quota != q || now >= e.until {
		return Result{}, false
	}
	wait := time.Duration(e.until - now)
	return Result{Limit: q.Rate, RetryAfter: wait, ResetAfter: max(wait, time.Duration(e.reset-now))}, true
}

// remember notes that key has nothing left for r.RetryAfter. That counts from the
// receipt of r, later than Redis's decision by half a round trip: whoever waits until
// then is not refused again for having come too early.
func (l *Redis) remember(key string, q Quota, r Result) {
	now := int64(time.Since(l.start))
	s := l.spent.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, exhaustion{until: now + int64(r.RetryAfter), reset: now + int64(r.ResetAfter), quota: q}, now)
}

// errOddAnswer stands for a panic of redis_rate, which does not check the types of
// the answer it gets.
var errOddAnswer = errors.New("the limiter's script answered in an unknown form")

func (l *Redis) allow(ctx context.Context, key string, q Quota) (r *redis_rate.Result, err error) {
	defer func() {
		if recover() != nil {
			r, err = nil, errOddAnswer
		}
	}()
	return l.limiter.Allow(ctx, key, redis_rate.Limit{Rate: q.Rate, Burst: q.Burst, Period: q.Period})
}

// resultOf translates redis_rate's answer.
//
// Its script counts in seconds since 2017 as doubles, which are 60 ns apart, so that
// its own Remaining is one too low for most quotas (8 after the first of ten) and its
// RetryAfter may end just before the unit is there. Remaining is therefore
// recomputed from ResetAfter with a tolerance of a thousandth of a unit, and
// durations to wait are rounded up.
func resultOf(answer *redis_rate.Result, q Quota) Result {
	r := Result{Allowed: answer.Allowed > 0, Limit: q.Rate, ResetAfter: max(answer.ResetAfter, 0)}
	if !r.Allowed {
		r.RetryAfter = ticks(answer.RetryAfter)
		return r
	}
	interval := float64(q.Period) / float64(q.Rate)
	used := math.Ceil(float64(r.ResetAfter)/interval - 1e-3)
	r.Remaining = max(min(q.Burst-int(used), q.Burst-1), 0)
	if r.Remaining == 0 {
		r.RetryAfter = ticks(r.ResetAfter - time.Duration(interval*float64(q.Burst-1)))
	}
	return r
}

// ticks returns d rounded up to the microseconds in which Redis tells the time, and
// one more for the doubles.
func ticks(d time.Duration) time.Duration {
	return max(d, 0).Truncate(time.Microsecond) + 2*time.Microsecond
}

// scripter gives redis_rate's keys their names: it puts "rate:" before every key,
// which would hide the prefix that belongs there.
type scripter struct{ redisconn.Scripter }

// Eval runs the script given as source.
func (s scripter) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return s.Scripter.Eval(ctx, script, ownNames(keys), args...)
}

// EvalSha runs a script that Redis has.
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
