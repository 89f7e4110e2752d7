package ratelimit

import (
	"cmp"
	"context"
	"time"

	"osgate/internal/flight"
)

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
