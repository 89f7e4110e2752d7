package ratelimit

import (
	"context"
	"time"
)

// spentKeys is what this process knows of the keys that have nothing left in a shared
// limiter: until when. A key that is known costs no question, and when its time has come
// one caller asks for all.
//
// What other processes take is not known here. So a key may be known to have a unit at an
// instant by which another process has taken it.
type spentKeys struct {
	start time.Time
	keys  *table[exhaustion]
}

// exhaustion is what is known of a key that has nothing left. Instants are
// nanoseconds since spentKeys's start.
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

// asker is a limiter that is asked about the keys of which nothing is known.
type asker interface {
	ask(ctx context.Context, key string, q Quota) (Result, error)
}

func newSpentKeys() *spentKeys {
	return &spentKeys{start: time.Now(), keys: newTable[exhaustion](defaultMaxKeys)}
}

// take decides about a unit of a normal quota, by what is known or by asking a.
func (k *spentKeys) take(ctx context.Context, key string, q Quota, a asker) (result Result, err error) {
	first, refusal, err := k.enter(ctx, key, q)
	if err != nil || refusal.Limit > 0 {
		return refusal, err
	}
	result, err = a.ask(ctx, key, q)
	if first != nil {
		k.leave(ctx, key, first, err)
		defer close(first.done) // when what was heard has been remembered
	}
	if err == nil && result.Remaining == 0 {
		k.remember(key, q, result)
	}
	return result, err
}

// enter lets a caller ask about a key, as the first one since it had nothing left where
// that is so; or refuses it, as long as that is known; or tells it why nobody knows. It
// waits while another is first.
func (k *spentKeys) enter(ctx context.Context, key string, q Quota) (first *question, refusal Result, err error) {
	s := k.keys.shard(key)
	for {
		s.mu.Lock()
		e, ok := s.entries[key]
		now := int64(time.Since(k.start))
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
func (k *spentKeys) leave(ctx context.Context, key string, first *question, err error) {
	s := k.keys.shard(key)
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
	return Result{Limit: q.Rate, RetryAfter: wait, MoreAfter: wait, ResetAfter: max(wait, time.Duration(e.reset-now))}
}

// remember notes that key has nothing left for r.RetryAfter. That counts from the
// receipt of r, later than the decision by half a round trip: whoever waits until
// then is not refused again for having come too early.
func (k *spentKeys) remember(key string, q Quota, r Result) {
	now := int64(time.Since(k.start))
	s := k.keys.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, exhaustion{until: now + int64(r.RetryAfter), reset: now + int64(r.ResetAfter), quota: q}, now)
}
