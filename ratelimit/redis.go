package ratelimit

import (
	"context"
	_ "embed" // for the scripts
	"fmt"
	"time"

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
	start  time.Time
	spent  *table[exhaustion]
}

var _ Limiter = (*Redis)(nil)

var (
	//go:embed lua/forget.lua
	forgetScript string
	//go:embed lua/window.lua
	windowScript string
)

// exhaustion is what is known of a key that has nothing left. Instants are
// nanoseconds since Redis's start.
type exhaustion struct {
	until int64 // when there will be a unit, at the earliest
	reset int64 // when all that may come at once will be there, at the earliest
	quota Quota
	first *question // of the one who asks now that until has passed; nil: nobody does
}

// question is one caller's, for whose answer others wait.
type question struct {
	done chan struct{} // closed when it is answered
	err  error         // why it was not, for those who waited; read after done
}

func (e exhaustion) expiry() int64 { return e.until }

// NewRedis returns a Redis over conn, which stays the caller's to close. Its keys are
// conn's prefix, "rate", the key as hash tag, and the algorithm.
func NewRedis(conn *redisconn.Conn) *Redis {
	return &Redis{
		conn:   conn,
		gcra:   redis_rate.NewLimiter(scripter{conn.Scripter()}),
		forget: redis.NewScript(forgetScript),
		window: redis.NewScript(windowScript),
		start:  time.Now(),
		spent:  newTable[exhaustion](defaultMaxKeys),
	}
}

// Take implements [Limiter]. An error wraps [redisconn.ErrDown] where Redis is of no
// use at present.
func (l *Redis) Take(ctx context.Context, key string, q Quota) (result Result, err error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	q = q.normal()
	first, refusal, err := l.enter(ctx, key, q)
	if err != nil || refusal.Limit > 0 {
		return refusal, err
	}
	result, err = l.ask(ctx, key, q)
	if first != nil {
		l.leave(ctx, key, first, err)
		defer close(first.done) // when what was heard has been remembered
	}
	if err == nil && result.Remaining == 0 {
		l.remember(key, q, result)
	}
	return result, err
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

// enter lets a caller ask about a key, as the first one since it had nothing left where
// that is so; or refuses it, as long as that is known; or tells it why nobody knows. It
// waits while another is first.
func (l *Redis) enter(ctx context.Context, key string, q Quota) (first *question, refusal Result, err error) {
	s := l.spent.shard(key)
	for {
		s.mu.Lock()
		e, ok := s.entries[key]
		now := int64(time.Since(l.start))
		if !ok || e.quota != q || now < e.until {
			s.mu.Unlock()
			return nil, e.refusal(q, now), nil
		}
		if e.first == nil {
			e.first = &question{done: make(chan struct{})}
			s.entries[key] = e
			s.mu.Unlock()
			return e.first, Result{}, nil
		}
		s.mu.Unlock()
		select {
		case <-e.first.done:
		case <-ctx.Done():
			return nil, Result{}, ctx.Err()
		}
		if e.first.err != nil {
			return nil, Result{}, e.first.err
		}
	}
}

// leave ends the first one's question: nothing is known of the key then, but where the
// caller itself gave up, and another may be first.
func (l *Redis) leave(ctx context.Context, key string, first *question, err error) {
	s := l.spent.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	gaveUp := err != nil && ctx.Err() != nil
	if e := s.entries[key]; e.first == first && gaveUp {
		e.first = nil
		s.entries[key] = e
	} else if e.first == first {
		delete(s.entries, key)
	}
	if !gaveUp {
		first.err = err
	}
}

// refusal is what a key gets that is known to have nothing left at now; the zero
// Result where that is not known.
func (e exhaustion) refusal(q Quota, now int64) Result {
	if e.quota != q || now >= e.until {
		return Result{}
	}
	wait := time.Duration(e.until - now)
	return Result{Limit: q.Rate, RetryAfter: wait, ResetAfter: max(wait, time.Duration(e.reset-now))}
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
