package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	defaultMaxWaitersPerKey = 1_000
	defaultMaxWaiters       = 10_000
	// minPause keeps the head of a queue from asking in a busy loop, should a limiter
	// refuse without saying for how long.
	minPause = 100 * time.Microsecond
	// maxGrace is the most that somebody waits beyond the bound; see grace.
	maxGrace = 100 * time.Millisecond
)

// TurnsOptions configures a [Turns].
type TurnsOptions struct {
	// Limiter decides. Required.
	Limiter Limiter
	// MaxWait is how late a turn may come that Take waits for. Zero or less: it waits
	// for none.
	MaxWait time.Duration
	// MaxWaitersPerKey bounds each key's queue. Zero means 1,000.
	MaxWaitersPerKey int
	// MaxWaiters bounds all queues together. Zero means 10,000.
	MaxWaiters int
}

// Turns lets those over quota wait for their turn instead of refusing them at once:
// first come, first served for each key in this process. Only the head of a queue
// asks the limiter, and only when its turn has come, so that waiting costs one
// question for each turn. Whose turn is certain to come too late is refused at once.
//
// A turn that comes in time is served, though the limiter's answers and timers may
// make it a little late: by a tenth of the bound at most, and 100 ms. So the longest
// wait is 1.1 times the bound, and one answer of the limiter.
//
// Several processes over one limiter share its units by luck, each in its own order.
// A Turns is safe for concurrent use. It starts no goroutines: each waiter waits in
// its own.
type Turns struct {
	o TurnsOptions

	mu      sync.Mutex        // guards all below and everything in the queues
	queues  map[string]*queue // of the keys that somebody waits for
	waiters int               // in all queues
	arrived uint64            // counts the calls of Take
}

// queue holds who waits for one key, the head first. It exists only while there is
// someone.
type queue struct {
	waiters []*waiter
	next    time.Time // the head's turn, as far as known; never later than it comes
	last    Result    // what the limiter said last, as of heard
	heard   time.Time
}

// waiter is a call of Take in a queue.
type waiter struct {
	arrival  uint64
	within   time.Duration // how late its turn may come
	since    time.Time     // when it was queued
	deadline time.Time     // within later
	head     chan struct{} // closed when it becomes the head of its queue
	late     chan struct{} // closed when it is put out since its turn comes too late
	queued   bool          // in a queue
	refusal  Result        // what it is told if it is put out
}

// NewTurns returns a Turns without waiters. It panics if o has no limiter.
func NewTurns(o TurnsOptions) *Turns {
	if o.Limiter == nil {
		panic("ratelimit: turns without a limiter")
	}
	if o.MaxWaitersPerKey <= 0 {
		o.MaxWaitersPerKey = defaultMaxWaitersPerKey
	}
	if o.MaxWaiters <= 0 {
		o.MaxWaiters = defaultMaxWaiters
	}
	return &Turns{o: o, queues: make(map[string]*queue)}
}

// Take takes one unit of q for key, waiting its turn for up to MaxWait where the key
// is over quota, and returns how long it waited for that. A refused result says when
// the turn would come. An error is the limiter's, or ctx's if that ended, and the
// place in the queue is given up.
func (t *Turns) Take(ctx context.Context, key string, q Quota) (r Result, waited time.Duration, err error) {
	return t.TakeWithin(ctx, key, q, t.o.MaxWait)
}

// TakeWithin is Take for a turn that comes within maxWait instead of MaxWait: for who
// has spent a part of his time elsewhere. Zero or less: it waits for none.
func (t *Turns) TakeWithin(ctx context.Context, key string, q Quota, maxWait time.Duration) (r Result, waited time.Duration, err error) {
	if q.unlimited() {
		r, err = t.o.Limiter.Take(ctx, key, q)
		return r, 0, err
	}
	q = q.normal()
	w, first, refusal := t.arrive(key, q, maxWait)
	if first {
		r, err = t.o.Limiter.Take(ctx, key, q)
		if err != nil || r.Allowed {
			return r, 0, err
		}
		refusal = t.queueUp(key, q, w, r)
	}
	if refusal != nil {
		return *refusal, 0, nil
	}
	defer t.leave(key, w)
	r, err = t.wait(ctx, key, q, w)
	return r, time.Since(w.since), err
}

// arrive returns a waiter. If nobody waits for key, it is the first and may ask the
// limiter; else it is in the queue now, unless it gets a refusal since there is no
// use in waiting.
func (t *Turns) arrive(key string, q Quota, within time.Duration) (w *waiter, first bool, refusal *Result) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arrived++
	w = &waiter{arrival: t.arrived, within: within}
	qu := t.queues[key]
	if qu == nil {
		return w, true, nil
	}
	return w, false, t.enqueue(qu, q, w, now)
}

// queueUp puts a waiter whom the limiter has just refused with r into the queue of
// its key, which may have come to be meanwhile.
func (t *Turns) queueUp(key string, q Quota, w *waiter, r Result) *Result {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	qu := t.queues[key]
	if qu == nil {
		qu = &queue{}
		qu.hear(r, now)
	}
	refusal := t.enqueue(qu, q, w, now)
	if refusal == nil {
		t.queues[key] = qu
	}
	return refusal
}

// enqueue puts w into qu, or returns a refusal if a bound is reached or if its turn
// is certain to come too late. t.mu is held.
func (t *Turns) enqueue(qu *queue, q Quota, w *waiter, now time.Time) *Result {
	w.since, w.deadline = now, now.Add(w.within)
	turn := qu.turn(len(qu.waiters), q, now)
	if turn.After(w.deadline) || len(qu.waiters) >= t.o.MaxWaitersPerKey || t.waiters >= t.o.MaxWaiters {
		refusal := qu.refusal(turn.Sub(now), q, now)
		return &refusal
	}
	w.head, w.late, w.queued = make(chan struct{}), make(chan struct{}), true
	t.waiters++
	// In order of arrival, which need not be that of the limiter's answers. The head
	// keeps its place: it may be asking already.
	at := len(qu.waiters)
	for at > 1 && qu.waiters[at-1].arrival > w.arrival {
		at--
	}
	qu.waiters = slices.Insert(qu.waiters, at, w)
	if at == 0 {
		close(w.head)
	}
	return nil
}

// wait waits until w is at the head of its queue and its turn has come, and asks the
// limiter then, again if another process was quicker.
func (t *Turns) wait(ctx context.Context, key string, q Quota, w *waiter) (Result, error) {
	timer := time.NewTimer(time.Until(w.patience()))
	defer timer.Stop()
	select {
	case <-w.head:
	case <-w.late:
		return t.refuse(key, q, w), nil
	case <-timer.C:
		return t.refuse(key, q, w), nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	for {
		pause, inTime := t.untilTurn(key, w)
		if !inTime {
			return t.refuse(key, q, w), nil
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
		r, err := t.o.Limiter.Take(ctx, key, q)
		if err != nil {
			return Result{}, err
		}
		t.hear(key, q, w, r)
		if r.Allowed {
			return r, nil
		}
	}
}

// untilTurn returns how long the head w has to wait, and whether that is in time.
func (t *Turns) untilTurn(key string, w *waiter) (pause time.Duration, inTime bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.queues[key].next
	return time.Until(next), !next.After(w.patience())
}

// hear takes in what the limiter told the head w, and puts out those behind it
// whose turn now comes too late, so that they need not wait to hear it.
func (t *Turns) hear(key string, q Quota, w *waiter, r Result) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	qu := t.queues[key]
	qu.hear(r, now)
	if r.Allowed {
		t.remove(key, w)
	}
	ahead := 0
	qu.waiters = slices.DeleteFunc(qu.waiters, func(w *waiter) bool {
		// The head sees for itself: it may be asking or about to.
		if turn := qu.turn(ahead, q, now); ahead > 0 && turn.After(w.patience()) {
			t.waiters--
			w.queued = false
			w.refusal = qu.refusal(turn.Sub(now), q, now)
			close(w.late)
			return true
		}
		ahead++
		return false
	})
}

// refuse returns a refusal for w, who has waited in vain: the one it was put out with,
// or what is known now.
func (t *Turns) refuse(key string, q Quota, w *waiter) Result {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.queued {
		return w.refusal
	}
	qu := t.queues[key]
	return qu.refusal(qu.turn(0, q, now).Sub(now), q, now)
}

// leave takes w out of its queue, if it is still there.
func (t *Turns) leave(key string, w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.queued {
		t.remove(key, w)
	}
}

// remove takes w out of the queue that it is in, and makes the next one the head if
// w was. t.mu is held.
func (t *Turns) remove(key string, w *waiter) {
	qu := t.queues[key]
	at := slices.Index(qu.waiters, w)
	qu.waiters = slices.Delete(qu.waiters, at, at+1)
	t.waiters--
	w.queued = false
	if len(qu.waiters) == 0 {
		delete(t.queues, key)
	} else if at == 0 {
		close(qu.waiters[0].head)
	}
}

// hear notes what the limiter said at now.
func (qu *queue) hear(r Result, now time.Time) {
	pause := r.RetryAfter
	if !r.Allowed {
		pause = max(pause, minPause)
	}
	qu.next, qu.last, qu.heard = now.Add(pause), r, now
}

// turn returns the earliest instant at which somebody with ahead others in front
// could be served: at once, while units were left when the limiter spoke last, and
// else no sooner than the quota's spacing after next.
func (qu *queue) turn(ahead int, q Quota, now time.Time) time.Time {
	next := qu.next
	if next.Before(now) {
		next = now
	}
	return next.Add(q.spacing(max(ahead-qu.last.Remaining, 0)))
}

// refusal is a result for somebody whose turn would come after wait.
func (qu *queue) refusal(wait time.Duration, q Quota, now time.Time) Result {
	wait = max(wait, minPause)
	return Result{
		Limit: q.Rate, Degraded: qu.last.Degraded, RetryAfter: wait, MoreAfter: wait,
		ResetAfter: max(wait, qu.last.ResetAfter-now.Sub(qu.heard)),
	}
}

// patience returns until when w stays: it was let in because its turn comes by its
// deadline, and is not sent away when it comes a little later than that.
func (w *waiter) patience() time.Time {
	return w.deadline.Add(min(w.within/10, maxGrace))
}
