package ratelimit

import (
	"context"
	_ "embed" // for the scripts
	"fmt"

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
	gcra      *redis_rate.Limiter
	forget    *redis.Script
	window    *redis.Script
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
		gcra:      redis_rate.NewLimiter(scripter{conn.Scripter()}),
		forget:    redis.NewScript(forgetScript),
		window:    redis.NewScript(windowScript),
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
