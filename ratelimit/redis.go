package ratelimit

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"osgate/internal/flight"
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

// exhaustedKeys are the keys known by this process to have no unit left in a shared
// limiter, each until a certain instant. Until then a key costs no round trip; after it
// one caller decides with the limiter for all waiting callers.
//
// Units that other processes take are not known here. So another process may already
// have taken the unit when the instant comes.
type exhaustedKeys struct {
	start time.Time
	keys  *table[exhaustion]
}

// exhaustion is the state of a key that has no unit left. Instants are nanoseconds
// since the start of exhaustedKeys.
type exhaustion struct {
	until   int64 // the earliest instant of the next unit
	reset   int64 // the earliest instant at which the whole burst (or window) is available
	quota   Quota
	pending *sharedCall // the limiter call after until has passed; nil: none is under way
}

// sharedCall is a call of the limiter by one caller, whose end others wait for. Its
// result is the error for them.
type sharedCall = flight.Flight[error]

func (e exhaustion) expiry() int64 { return e.until }

// decider is the limiter that decides about keys that are not known to be exhausted.
type decider interface {
	decide(ctx context.Context, key string, q Quota) (Result, error)
}

func newExhaustedKeys() *exhaustedKeys {
	return &exhaustedKeys{start: time.Now(), keys: newTable[exhaustion](defaultMaxKeys)}
}

// take decides about a unit of a normal quota, by the known state of the key or with d.
func (k *exhaustedKeys) take(ctx context.Context, key string, q Quota, d decider) (result Result, err error) {
	first, refusal, err := k.enter(ctx, key, q)
	if err != nil || refusal.Limit > 0 {
		return refusal, err
	}
	result, err = d.decide(ctx, key, q)
	if first != nil {
		defer first.Land(k.leave(ctx, key, first, err)) // after the result has been remembered
	}
	if err == nil && result.Remaining == 0 {
		k.remember(key, q, result)
	}
	return result, err
}

// enter permits a caller to call the limiter; first is the shared call if the key was
// exhausted until now. While the key is known to be exhausted, enter returns a refusal.
// It waits while another caller's shared call is under way, and returns that call's
// error if it fails.
func (k *exhaustedKeys) enter(ctx context.Context, key string, q Quota) (first *sharedCall, refusal Result, err error) {
	s := k.keys.shard(key)
	for {
		s.mu.Lock()
		e, ok := s.entries[key]
		now := int64(time.Since(k.start))
		if !ok || e.quota != q || now < e.until {
			s.mu.Unlock()
			return nil, e.refusal(q, now), nil
		}
		if e.pending == nil {
			e.pending = flight.New[error]()
			s.entries[key] = e
			s.mu.Unlock()
			return e.pending, Result{}, nil
		}
		s.mu.Unlock()
		failure, err := e.pending.Wait(ctx)
		if err = cmp.Or(err, failure); err != nil {
			return nil, Result{}, err
		}
	}
}

// leave ends a shared call with err and returns the error for the waiting callers. The
// key is not known to be exhausted then. But if the caller itself gave up, the state is
// kept, and another caller may make the call.
func (k *exhaustedKeys) leave(ctx context.Context, key string, first *sharedCall, err error) error {
	s := k.keys.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	gaveUp := err != nil && ctx.Err() != nil
	if e := s.entries[key]; e.pending == first && gaveUp {
		e.pending = nil
		s.entries[key] = e
	} else if e.pending == first {
		delete(s.entries, key)
	}
	if gaveUp {
		return nil
	}
	return err
}

// refusal returns the refusal for a key that has no unit left at now, and the zero
// Result if that is not known.
func (e exhaustion) refusal(q Quota, now int64) Result {
	if e.quota != q || now >= e.until {
		return Result{}
	}
	wait := time.Duration(e.until - now)
	return Result{Limit: q.Rate, RetryAfter: wait, MoreAfter: wait, ResetAfter: max(wait, time.Duration(e.reset-now))}
}

// remember records that key has no unit left for r.RetryAfter. That time starts at the
// receipt of r, half a round trip after the decision. So a caller that waits for it is
// not refused again for being too early.
func (k *exhaustedKeys) remember(key string, q Quota, r Result) {
	now := int64(time.Since(k.start))
	s := k.keys.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, exhaustion{until: now + int64(r.RetryAfter), reset: now + int64(r.ResetAfter), quota: q}, now)
}

// takeWindow runs lua/window.lua. The script counts in microseconds, so a period is
// rounded up. Redis's clock has whole microseconds, so a caller that waits for the
// returned time is never too early.
func (l *Redis) takeWindow(ctx context.Context, name string, q Quota) (result Result, err error) {
	answer := func(replies *redisconn.Replies) error {
		if replies.Array() != 5 {
			return errOddAnswer
		}
		microseconds := func() time.Duration { return time.Duration(replies.Int()) * time.Microsecond }
		result = Result{
			Allowed: replies.Int() == 1, Limit: q.Rate, Remaining: replies.Int(),
			RetryAfter: microseconds(), MoreAfter: microseconds(), ResetAfter: microseconds(),
		}
		return replies.Err()
	}
	err = l.conn.Eval(ctx, l.window, name, answer,
		redisconn.Int(int64(q.Rate)), redisconn.Int(int64(divideUp(q.Period, int(time.Microsecond)))))
	return result, err
}
