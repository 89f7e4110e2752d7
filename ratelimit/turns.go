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
	// minPause prevents a busy loop of the head of a queue if a limiter refuses without
	// a RetryAfter.
	minPause = 100 * time.Microsecond
	// maxGrace is the longest wait beyond the bound; see [waiter.latest].
	maxGrace = 100 * time.Millisecond
)

// TurnsOptions configures a [Turns].
type TurnsOptions struct {
	// Limiter decides. Required.
	Limiter Limiter
	// MaxWait is the longest time until a turn that Take waits for. Zero or less: it
	// does not wait.
	MaxWait time.Duration
	// MaxWaitersPerKey bounds each key's queue. Zero means 1,000.
	MaxWaitersPerKey int
	// MaxWaiters bounds all queues together. Zero means 10,000.
	MaxWaiters int
}

// Turns lets callers over quota wait for their turn instead of refusing them at once:
// first come, first served for each key in this process. Only the head of a queue calls
// the limiter, and only when its turn has come, so that waiting costs one call for each
// turn. A caller whose turn is certain to come too late is refused at once.
//
// A turn that comes in time is served even if the limiter's answers and timers make it
// a little late: by at most a tenth of the bound, and 100 ms. So the longest wait is
// 1.1 times the bound, and one answer of the limiter.
//
// Several processes over one limiter compete for its units, each in its own order. A
// Turns is safe for concurrent use. It starts no goroutines: each waiter waits in its
// own.
type Turns struct {
	o TurnsOptions

	mu      sync.Mutex        // guards all below and everything in the queues
	queues  map[string]*queue // of the keys with waiters
	waiters int               // in all queues
	arrived uint64            // counts the calls of Take
}

// queue holds the waiters for one key, the head first. It exists only while there is
// one.
type queue struct {
	waiters []*waiter
	next    time.Time // the head's turn, as far as known; never later than the real one
	last    Result    // the limiter's latest result, received at lastAt
	lastAt  time.Time
}

// waiter is a call of Take in a queue.
type waiter struct {
	arrival  uint64
	within   time.Duration // the longest time until its turn
	since    time.Time     // when it was queued
	deadline time.Time     // within later
	head     chan struct{} // closed when it becomes the head of its queue
	late     chan struct{} // closed when it is removed because its turn would come too late
	queued   bool          // in a queue
	refusal  Result        // its result if it is removed
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

// Take takes one unit of q for key. If the key is over quota, it waits up to MaxWait
// for its turn, and returns how long it waited. A refused result contains the time
// until the turn. An error is the limiter's, or ctx's if ctx has ended; the place in
// the queue is given up then.
func (t *Turns) Take(ctx context.Context, key string, q Quota) (r Result, waited time.Duration, err error) {
	return t.TakeWithin(ctx, key, q, t.o.MaxWait)
}

// TakeWithin is Take for a turn that comes within maxWait instead of MaxWait, for a
// caller that has already waited elsewhere. Zero or less: it does not wait.
func (t *Turns) TakeWithin(
	ctx context.Context, key string, q Quota, maxWait time.Duration,
) (r Result, waited time.Duration, err error) {
	if q.unlimited() {
		r, err = t.o.Limiter.Take(ctx, key, q)
		return r, 0, err
	}
	q = q.normal()
	arrival, w, refusal := t.arrive(key, q, maxWait)
	if w == nil {
		r, err = t.o.Limiter.Take(ctx, key, q)
		if err != nil || r.Allowed {
			return r, 0, err
		}
		w = &waiter{arrival: arrival, within: maxWait}
		refusal = t.queueUp(key, q, w, r)
	}
	if refusal != nil {
		return *refusal, 0, nil
	}
	defer t.leave(key, w)
	r, err = t.wait(ctx, key, q, w)
	return r, time.Since(w.since), err
}

// arrive counts a call. If no other waits for key, the call needs no waiter yet and may
// call the limiter. Otherwise its waiter is in the queue now, or gets a refusal if
// waiting would be useless.
func (t *Turns) arrive(key string, q Quota, within time.Duration) (arrival uint64, w *waiter, refusal *Result) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arrived++
	qu := t.queues[key]
	if qu == nil {
		return t.arrived, nil, nil
	}
	w = &waiter{arrival: t.arrived, within: within}
	return t.arrived, w, t.enqueue(qu, q, w, now)
}

// queueUp puts a waiter that the limiter has just refused with r into the queue of its
// key, which may have been created meanwhile.
func (t *Turns) queueUp(key string, q Quota, w *waiter, r Result) *Result {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	qu := t.queues[key]
	if qu == nil {
		qu = &queue{}
		qu.update(r, now)
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
	// In order of arrival, which may differ from that of the limiter's answers. The
	// head keeps its place: it may be calling the limiter already.
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

// wait waits until w is at the head of its queue and its turn has come, and calls the
// limiter then, again if another process took the unit.
func (t *Turns) wait(ctx context.Context, key string, q Quota, w *waiter) (Result, error) {
	timer := time.NewTimer(time.Until(w.latest()))
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
		t.update(key, q, w, r)
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
	return time.Until(next), !next.After(w.latest())
}

// update records the limiter's result for the head w, and removes those waiters whose
// turn now comes too late, so that they are refused at once.
func (t *Turns) update(key string, q Quota, w *waiter, r Result) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	qu := t.queues[key]
	qu.update(r, now)
	if r.Allowed {
		t.remove(key, w)
	}
	ahead := 0
	qu.waiters = slices.DeleteFunc(qu.waiters, func(w *waiter) bool {
		// Not the head: it may be calling the limiter.
		if turn := qu.turn(ahead, q, now); ahead > 0 && turn.After(w.latest()) {
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

// refuse returns the refusal for w, which has waited in vain: the one that it was
// removed with, or one by the current state.
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

// leave removes w from its queue, if it is still there.
func (t *Turns) leave(key string, w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.queued {
		t.remove(key, w)
	}
}

// remove removes w from its queue, and makes the next one the head if w was. t.mu is
// held.
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

// update records the limiter's result at now.
func (qu *queue) update(r Result, now time.Time) {
	pause := r.RetryAfter
	if !r.Allowed {
		pause = max(pause, minPause)
	}
	qu.next, qu.last, qu.lastAt = now.Add(pause), r, now
}

// turn returns the earliest instant at which a waiter with ahead others in front could
// be served: at once, if units were left in the limiter's latest result, and otherwise
// no sooner than the quota's spacing after next.
func (qu *queue) turn(ahead int, q Quota, now time.Time) time.Time {
	next := qu.next
	if next.Before(now) {
		next = now
	}
	return next.Add(q.spacing(max(ahead-qu.last.Remaining, 0)))
}

// spacing returns the least time between a unit that was waited for and the nth unit
// after it, whichever callers take those in between. q is normal.
func (q Quota) spacing(n int) time.Duration {
	if q.Algorithm == AlgorithmWindow {
		return times(q.Period, n/q.Rate)
	}
	return times(q.interval(), n)
}

// refusal returns the result for a waiter whose turn would come after wait.
func (qu *queue) refusal(wait time.Duration, q Quota, now time.Time) Result {
	wait = max(wait, minPause)
	return Result{
		Limit: q.Rate, Degraded: qu.last.Degraded, RetryAfter: wait, MoreAfter: wait,
		ResetAfter: max(wait, qu.last.ResetAfter-now.Sub(qu.lastAt)),
	}
}

// latest returns until when w waits: its turn was to come by its deadline, and w is not
// refused if it comes a little later.
func (w *waiter) latest() time.Time {
	return w.deadline.Add(min(w.within/10, maxGrace))
}
