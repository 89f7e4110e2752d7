package ratelimit

import (
	"context"
	_ "embed" // for the scripts
	"fmt"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

// Redis is a [Limiter] for all processes that use the same Redis, counted there with
// Redis's clock: GCRA by go-redis_rate, windows by a script of our own.
//
// A decision is one round trip, and none while the key is known to have nothing
// left: the instant until then is remembered, for at most 65,536 keys. When it has
// come one caller asks and those that come meanwhile wait for what it hears, so that
// a key over quota costs Redis its turns, however many ask. If Redis loses its data,
// each key has at most once more what may come at once.
type Redis struct {
	conn   *redisconn.Conn
	gcra   *redis_rate.Limiter
	forget *redis.Script
	window *redis.Script
	spent  *spentKeys
}

var _ Limiter = (*Redis)(nil)

var (
	//go:embed lua/forget.lua
	forgetScript string
	//go:embed lua/window.lua
	windowScript string
)

// NewRedis returns a Redis over conn, which stays the caller's to close. Its keys are
// conn's prefix, "rate", the key as hash tag, and the algorithm.
func NewRedis(conn *redisconn.Conn) *Redis {
	return &Redis{
		conn:   conn,
		gcra:   redis_rate.NewLimiter(scripter{conn.Scripter()}),
		forget: redis.NewScript(forgetScript),
		window: redis.NewScript(windowScript),
		spent:  newSpentKeys(),
	}
}

// Take implements [Limiter]. An error wraps [redisconn.ErrDown] where Redis is of no
// use at present.
func (l *Redis) Take(ctx context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	return l.spent.take(ctx, key, q.normal(), l)
}

// ask decides about a unit in Redis.
func (l *Redis) ask(ctx context.Context, key string, q Quota) (result Result, err error) {
	name := l.conn.Key("rate", key, string(q.Algorithm))
	if q.Algorithm == AlgorithmWindow {
		result, err = l.takeOfWindow(ctx, name, q)
	} else {
		result, err = l.takeOfGCRA(ctx, name, q)
	}
	if err != nil {
		return Result{}, fmt.Errorf("taking quota in redis: %w", err)
	}
	return result, nil
}
