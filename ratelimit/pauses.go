package ratelimit

import (
	"context"
	"math"
	"time"
)

// PausesOptions configures a [Pauses].
type PausesOptions struct {
	// MaxKeys bounds the keys that are paused at once, each about 150 bytes. Zero means
	// 65,536. Beyond, the pause of those nearest to its end is forgotten.
	MaxKeys int
	// MaxWaitersPerKey and MaxWaiters bound who waits, as [TurnsOptions] says.
	MaxWaitersPerKey, MaxWaiters int
}

// Pauses keeps keys away from an upstream that has just said 429: until then nothing
// of a key leaves this process, and what has waited leaves one by one afterwards,
// first come, first served. It is about this process alone.
//
// A Pauses is safe for concurrent use and starts no goroutines. A key that is not
// paused, which is nearly every one, costs a look into a map.
type Pauses struct {
	start time.Time
	keys  *table[pause]
	turns *Turns

	counts pauseCounts
}

// pause is what is known of a key that was paused. Instants are nanoseconds since
// Pauses's start.
type pause struct {
	next     int64         // when the next may leave
	interval time.Duration // between those that leave after one another
	waiting  int           // who is in Wait
}

// expiry is when nothing is left of the pause: not as long as anybody waits.
func (p pause) expiry() int64 {
	if p.waiting > 0 {
		return math.MaxInt64
	}
	return p.next
}

// NewPauses returns a Pauses in which nothing is paused.
func NewPauses(o PausesOptions) *Pauses {
	p := &Pauses{start: time.Now(), keys: newTable[pause](o.MaxKeys)}
	p.turns = NewTurns(TurnsOptions{Limiter: departures{p}, MaxWaitersPerKey: o.MaxWaitersPerKey, MaxWaiters: o.MaxWaiters})
	return p
}

// Pause keeps back all of key for d; what has waited by then leaves one each interval,
// or all at once if that is not positive. Of a pause and those before it that have
// not ended the latest end counts, and the longest interval. Nothing happens where d
// is not positive.
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

// Wait returns at once if key is not paused. Else it waits until the pause is over and
// those who came before have left, if that is within the given time, and returns how
// long it waited. If it is not, or too many wait, it returns retryAfter, positive: how
// long until somebody who asks again might go. That is at once, or later where another
// pause came meanwhile. An error is ctx's: the client has left, and its place is given
// up. Zero or less: nobody waits.
func (p *Pauses) Wait(ctx context.Context, key string, within time.Duration) (waited, retryAfter time.Duration, err error) {
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
	p.counts.waited(retryAfter, err)
	return waited, retryAfter, err
}

// enter reports whether key is paused, and counts the caller among its waiters if so.
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

// leave takes a caller from the waiters of key, unless the pause was forgotten.
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

// departures decides for the [Turns] of a Pauses who leaves now.
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
	return Result{Allowed: true, Limit: q.Rate, RetryAfter: e.interval, MoreAfter: e.interval, ResetAfter: e.interval}, nil
}
