package ratelimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

// Redis is a [Limiter] for all processes that use the same Redis. Units are counted
// there with Redis's clock: GCRA by go-redis_rate, windows by our own script.
//
// A decision takes one round trip, and none while the key is known to have no unit
// left: the end of that time is remembered for up to 65,536 keys. After it, one caller
// sends a request to Redis, and callers that arrive meanwhile wait for its result. So a
// key over quota costs Redis one request for each turn, however many callers there are.
// If Redis loses its data, each key has at most one more burst (or window).
type Redis struct {
	conn      *redisconn.Conn
	gcra      *redisconn.Script
	forget    *redis.Script
	window    *redisconn.Script
	exhausted *exhaustedKeys
}

var _ Limiter = (*Redis)(nil)

var (
	//go:embed lua/forget.lua
	forgetScript string
	//go:embed lua/window.lua
	windowScript string
)

// NewRedis returns a Redis over conn, which the caller closes. Its keys are conn's
// prefix, "rate", the key as hash tag, and the algorithm.
func NewRedis(conn *redisconn.Conn) *Redis {
	return &Redis{
		conn:      conn,
		gcra:      redisconn.NewScript(scriptOfRedisRate()),
		forget:    redis.NewScript(forgetScript),
		window:    redisconn.NewScript(windowScript),
		exhausted: newExhaustedKeys(),
	}
}

// Take implements [Limiter]. An error wraps [redisconn.ErrDown] if Redis is
// unavailable.
func (l *Redis) Take(ctx context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	return l.exhausted.take(ctx, key, q.normal(), l)
}

// decide decides about a unit in Redis.
func (l *Redis) decide(ctx context.Context, key string, q Quota) (result Result, err error) {
	name := l.conn.Key("rate", key, string(q.Algorithm))
	if q.Algorithm == AlgorithmWindow {
		result, err = l.takeWindow(ctx, name, q)
	} else {
		result, err = l.takeGCRA(ctx, name, q)
	}
	if err != nil {
		return Result{}, fmt.Errorf("taking quota in redis: %w", err)
	}
	return result, nil
}

// errOddAnswer is the error of an answer that none of the scripts gives.
var errOddAnswer = errors.New("the limiter's script answered in an unknown form")

// takeGCRA decides with redis_rate's script. The stored TAT may not fit the quota: a TAT later
// than the whole burst was set under another quota, or before Redis's clock was set
// back, and would refuse for that long. Such a TAT is deleted, and the script decides
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
	return resultOf(&answer, q), nil
}

// lifeOfTAT is longer than redis_rate keeps any key of q: the time of the whole burst
// in whole seconds, and one more.
func lifeOfTAT(q Quota) time.Duration {
	whole := min(times(q.interval(), q.Burst), horizon)
	return whole.Truncate(time.Second) + 2*time.Second
}

// allow runs redis_rate's script for one unit, as its Allow does. The two differ only in
// how the command is sent and the answer is read.
func (l *Redis) allow(ctx context.Context, name string, q Quota) (r redis_rate.Result, err error) {
	answer := func(replies *redisconn.Replies) (err error) {
		r, err = answerOf(replies)
		return err
	}
	err = l.conn.Eval(ctx, l.gcra, name, answer,
		redisconn.Int(int64(q.Burst)), redisconn.Int(int64(q.Rate)), redisconn.Float(q.Period.Seconds()),
		redisconn.Int(1))
	return r, err
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
