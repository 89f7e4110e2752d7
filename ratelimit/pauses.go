package ratelimit

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// PausesOptions configures a [Pauses].
type PausesOptions struct {
	// MaxKeys bounds the keys that are paused at once, each about 150 bytes. Zero means
	// 65,536. Beyond that, the pauses closest to their end are forgotten.
	MaxKeys int
	// MaxWaitersPerKey and MaxWaiters bound the waiting calls, as in [TurnsOptions].
	MaxWaitersPerKey, MaxWaiters int
}

// Pauses keeps keys from an upstream that has just answered 429: until the pause ends
// no request of the key is sent by this process. Afterwards waiting requests are sent
// one by one, in the order of their arrival. It knows this process only.
//
// A Pauses is safe for concurrent use and starts no goroutines. A key without a pause,
// which is the usual case, costs one map lookup.
type Pauses struct {
	start time.Time
	keys  *table[pause]
	turns *Turns

	counts pauseCounts
}

// pause is the pause of a key. Instants are nanoseconds since the start of Pauses.
type pause struct {
	next     int64         // when the next request may be sent
	interval time.Duration // between two requests after the pause
	waiting  int           // number of calls in Wait
}

// expiry is when the pause may be forgotten: never while a call waits.
func (p pause) expiry() int64 {
	if p.waiting > 0 {
		return math.MaxInt64
	}
	return p.next
}

// NewPauses returns a Pauses without any pause.
func NewPauses(o PausesOptions) *Pauses {
	p := &Pauses{start: time.Now(), keys: newTable[pause](o.MaxKeys)}
	p.turns = NewTurns(TurnsOptions{
		Limiter: departures{p}, MaxWaitersPerKey: o.MaxWaitersPerKey, MaxWaiters: o.MaxWaiters,
	})
	return p
}

// Pause pauses key for d. After that one waiting request is sent each interval, or all
// at once if interval is not positive. If earlier pauses have not ended, the latest end
// and the longest interval count. If d is not positive, Pause has no effect.
func (p *Pauses) Pause(key string, d, interval time.Duration) {
	if d <= 0 {
		return
	}
	p.counts.paused.Add(1)
	s := p.keys.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := p.now()
	e, ok := s.entries[key]
	if !ok || e.expiry() <= now {
		e = pause{}
	}
	e.next = max(e.next, now+int64(min(d, horizon)))
	e.interval = max(e.interval, min(interval, horizon))
	s.put(key, e, now)
}

// Wait returns at once if key is not paused. Otherwise it waits until the pause is over
// and earlier waiters have been sent, if that is within the given time, and returns how
// long it waited. If that takes longer, or too many calls wait, it returns retryAfter,
// positive: how long until a new request might be sent. It may take longer if another
// pause begins meanwhile. An error is ctx's: the client has left, and its place in the
// queue is given up. If within is zero or less, Wait does not wait.
func (p *Pauses) Wait(
	ctx context.Context, key string, within time.Duration,
) (waited, retryAfter time.Duration, err error) {
	interval, paused := p.enter(key)
	if !paused {
		return 0, 0, nil
	}
	defer p.leave(key)
	q := Quota{Rate: 1, Period: max(interval, 1), Burst: 1}
	r, waited, err := p.turns.TakeWithin(ctx, key, q, within)
	if err == nil && !r.Allowed {
		retryAfter = r.RetryAfter
	}
	p.counts.countWait(retryAfter, err)
	return waited, retryAfter, err
}

// enter reports whether key is paused, and if so counts the caller among its waiters.
func (p *Pauses) enter(key string) (interval time.Duration, paused bool) {
	s := p.keys.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return 0, false
	}
	if e.expiry() <= p.now() {
		delete(s.entries, key)
		return 0, false
	}
	e.waiting++
	s.entries[key] = e
	return e.interval, true
}

// leave removes a caller from the waiters of key, unless the pause was forgotten.
func (p *Pauses) leave(key string) {
	s := p.keys.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[key]; ok && e.waiting > 0 {
		e.waiting--
		s.entries[key] = e
	}
}

func (p *Pauses) now() int64 { return int64(time.Since(p.start)) }

// departures is the [Limiter] of a Pauses's [Turns]: it decides whether a request may
// be sent now.
type departures struct{ pauses *Pauses }

// Take implements [Limiter]. Its error is ctx's.
func (d departures) Take(ctx context.Context, key string, q Quota) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	s := d.pauses.keys.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := d.pauses.now()
	e, ok := s.entries[key]
	if !ok {
		return Result{Allowed: true, Limit: q.Rate}, nil
	}
	if wait := time.Duration(e.next - now); wait > 0 {
		return Result{Limit: q.Rate, RetryAfter: wait, MoreAfter: wait, ResetAfter: wait}, nil
	}
	e.next = now + int64(e.interval)
	s.entries[key] = e
	return Result{
		Allowed: true, Limit: q.Rate,
		RetryAfter: e.interval, MoreAfter: e.interval, ResetAfter: e.interval,
	}, nil
}

// PauseCounts are the numbers of events of a [Pauses] since the start.
type PauseCounts struct {
	Paused  int64 // calls of Pause: upstream answered 429
	Waited  int64 // calls of Wait that waited until the end of a pause
	Refused int64 // calls of Wait that were refused because the pause was too long
	Left    int64 // calls of Wait that ended with their context
}

// pauseCounts are the counters behind [PauseCounts]. Calls of Wait without a pause are
// not counted, so that they cost as little as possible.
type pauseCounts struct{ paused, passed, refused, left atomic.Int64 }

// Counts returns a snapshot. The counters are read one after another.
func (p *Pauses) Counts() PauseCounts {
	n := &p.counts
	return PauseCounts{Paused: n.paused.Load(), Waited: n.passed.Load(), Refused: n.refused.Load(), Left: n.left.Load()}
}

// countWait counts how a wait for the end of a pause ended.
func (n *pauseCounts) countWait(retryAfter time.Duration, err error) {
	switch {
	case err != nil:
		n.left.Add(1)
	case retryAfter > 0:
		n.refused.Add(1)
	default:
		n.passed.Add(1)
	}
}
