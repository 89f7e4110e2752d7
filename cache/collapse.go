package cache

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

// This file lets reads that miss at the same time wait for one fetch. Why a follower may have the answer of a fetch that began before it came:
//
//  1. A follower joins only a fetch of the same token, entry and stamp, and it got its own stamp after it came.
//  2. A write that was answered before the follower came had new generations made before that. The leader's stamp holds them too, since the stamps
//     are equal and no generation comes twice; and no lease was alive when the leader got it. So the fetch began after the write took effect.
//  3. A write that is marked after the follower got its stamp overlaps the follower: it may see that write or not.
//  4. Where a lease is alive, an epoch settles or coherence is not known, there is no [Fill] and so nothing to join.
//
// The token is part of it because upstream judges each token by itself: nobody gets what upstream has not just said to that very token.

// The bounds of waiting. Who finds no room goes upstream by itself.
const (
	followersEach = 4096 // of one fetch
	followersAll  = 8192
)

// flightKey is what a fetch must have in common with who joins it.
type flightKey struct {
	token [32]byte
	entry digest
	stamp Stamp
	floor time.Time // when upstream refused the token last: who comes after that joins nothing that was asked before
}

// flightResult is how a fetch ended for its followers. The zero value sends each of them upstream by itself: what comes is too large, or not to be
// used twice.
type flightResult struct {
	entry *Entry // the answer
	err   error  // why there is none
	again bool   // the leader gave up for reasons of its own, or the answer is in the store: look again
}

// flight is a fetch under way that others may join. What is not said to be constant is guarded by the mutex of its flights.
type flight struct {
	key       flightKey     // constant
	done      chan struct{} // constant; closed when landing is known
	result    flightResult  // constant from then on
	finished  bool          // done is closed
	followers int
	abandon   func() // the leader's client has left: ends the fetch when nobody waits any more; nil: it is there
}

// flights are the fetches under way. Each belongs to an exchange, so their number is bounded by that of exchanges.
type flights struct {
	mu      sync.Mutex // guards what follows
	active  map[flightKey]*flight
	waiting int
}

func newFlights() *flights { return &flights{active: map[flightKey]*flight{}} }

// join joins the flight of this key, or begins it where there is none and lead allows. Without either, or without room to wait, it is nil.
func (fs *flights) join(key flightKey, follow, lead bool) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f = fs.active[key]
	switch {
	case f == nil && lead:
		f = &flight{key: key, done: make(chan struct{})}
		fs.active[key] = f
		return f, true
	case f == nil || !follow || f.followers >= followersEach || fs.waiting >= followersAll:
		return nil, false
	}
	f.followers++
	fs.waiting++
	return f, false
}

// finish ends the flight, once. Who comes later begins another.
func (fs *flights) finish(f *flight, how flightResult) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.finishLocked(f, how)
}

func (fs *flights) finishLocked(f *flight, how flightResult) {
	if f.finished {
		return
	}
	f.finished, f.result = true, how
	delete(fs.active, f.key)
	close(f.done)
}

// leave is a follower that waits no more. The last one ends a fetch whose own client has left too.
func (fs *flights) leave(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.followers--
	fs.waiting--
	if f.abandon != nil && f.followers == 0 {
		fs.abandonLocked(f)
	}
}

// leaderLeft is the leader's client that left: abandon is called as soon as nobody waits.
func (fs *flights) leaderLeft(f *flight, abandon func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.abandon = abandon
	if f.followers == 0 {
		fs.abandonLocked(f)
	}
}

// abandonLocked takes the flight off the list first, so that nobody joins what is ending.
func (fs *flights) abandonLocked(f *flight) {
	fs.finishLocked(f, flightResult{again: true})
	f.abandon()
}

// fetch is a request that has to go upstream: behind another that asks the same, in front of those to come, or alone.
func (s *Search) fetch(ctx context.Context, missed Status, now time.Time) Result {
	if s.single || s.wants.onlyIfCached {
		return s.sharedOrUpstream(ctx, missed, now)
	}
	flights := s.cache.flights
	// A validator of upstream's goes there and may make the answer a 304, which is for nobody else.
	f, leads := flights.join(s.flightKey(), true, len(StripOwnETags(s.question.Header["If-None-Match"])) == 0)
	switch {
	case f == nil:
		return s.sharedOrUpstream(ctx, missed, now)
	case !leads:
		s.flight, s.missed = f, missed
		return Result{Wait: true, Status: missed}
	}
	// Between the look into the store and here another fetch of the same may have landed: it stores first and then lands, so what is
	// in the store now would be asked for twice.
	found := s.find(now)
	if found.Entry == nil {
		found = s.sharedOrUpstream(ctx, missed, now)
	}
	if found.Fill == nil {
		flights.finish(f, flightResult{again: true})
		return found
	}
	found.Fill.flight = f
	return found
}

// ask goes on where neither this process nor a fetch under way has the answer: to the other replicas, then upstream.
func (s *Search) sharedOrUpstream(ctx context.Context, missed Status, now time.Time) Result {
	if found := s.findShared(ctx, now); found.Entry != nil {
		return found
	}
	return s.fill(missed.Forward, missed.Detail)
}

func (s *Search) flightKey() flightKey {
	return flightKey{s.question.Token, s.key, s.stamp, s.cache.grants.refused(s.question.Token)}
}

// errNoFlight is returned to who follows nothing.
var errNoFlight = errors.New("there is no fetch to wait for")

// ErrLate is a fetch that others waited for and that took too long. They do not ask by themselves then: what hangs would be asked by all.
var ErrLate = errors.New("the fetch that was waited for took too long")

// Follow waits for the fetch that [Search.Look] found, no longer than within. It returns the answer; or a Fill where the request has to go
// upstream itself, because the other fetch brought nothing that can be used twice or was given up by its client; or the error that the fetch
// met ([Fill.Fail]), or [ErrLate], since what is down is not to be asked by all who wait; or ctx's own error.
func (s *Search) Follow(ctx context.Context, within time.Duration) (Result, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for s.flight != nil {
		f := s.flight
		s.flight = nil
		var err error
		select {
		case <-f.done:
		case <-timer.C:
			err = ErrLate
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.cache.flights.leave(f)
		if err != nil {
			return Result{}, err
		}
		if result, known, err := s.resultOf(ctx, f.result); known || err != nil {
			return result, err
		}
	}
	return Result{}, errNoFlight
}

// resultOf makes of a landing what it is for this follower. Not known: it has to wait for another flight.
func (s *Search) resultOf(ctx context.Context, how flightResult) (result Result, known bool, err error) {
	now := time.Now()
	switch {
	case how.again:
		result = s.choose(ctx, now)
		return result, !result.Wait, nil
	case how.entry != nil && how.entry.failed():
		if found, ok := s.Fallback(now); ok {
			return found, true, nil
		}
	}
	switch e := how.entry; {
	case how.err != nil:
		return Result{}, false, how.err
	case e == nil || !s.wants.accepts(e.Age(now), max(0, e.Left(now))):
		return s.fill(s.missed.Forward, s.missed.Detail), true, nil
	default:
		s.cache.counts.collapsed.Add(1)
		status := s.missed
		status.Collapsed = true
		return Result{Entry: e, Status: status}, true, nil
	}
}

// FetchContext returns the context of the fetch, to be used in place of the request's own, and what ends it. It has ctx's values and ends with ctx,
// but not while others wait for the answer: then it goes on until it has one, or they have left too.
func (f *Fill) FetchContext(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	if f.flight == nil {
		return context.WithCancelCause(ctx)
	}
	flights, flight := f.cache.flights, f.flight
	carried, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		flights.leaderLeft(flight, func() { cancel(context.Cause(ctx)) })
	})
	return carried, func(cause error) {
		stop()
		cancel(cause)
	}
}

// Fail says that there will be no answer, and why. Those who wait get err, unless it is the end of the request's own client
// ([context.Canceled]), which concerns nobody else: one of them fetches then. It does not take the place of Close.
func (f *Fill) Fail(err error) {
	if f.flight == nil {
		return
	}
	if errors.Is(err, context.Canceled) {
		f.cache.flights.finish(f.flight, flightResult{again: true})
		return
	}
	f.cache.flights.finish(f.flight, flightResult{err: err})
}

// ReadAhead reports whether the answer is to be read to its end before the client gets its first byte, so that no slow client holds up others
// who wait. It turns false when the body outgrows what is kept; [Fill.Kept] holds what was read until then.
func (f *Fill) ReadAhead() bool { return f.flight != nil && f.taking }

// Kept returns what of the body has been kept so far, shared: it must not be changed.
func (f *Fill) Kept() []byte { return slices.Clip(f.body) }

// sharable reports whether an answer that may not be stored may be given to those who asked the same with the same token at the same time: it may if
// it is only its status, its being one principal's or its store's unknown TTL that forbids to store it.
func (v *verdict) sharable(h http.Header) bool {
	switch v.refused {
	case "", "private", detailTTL:
		return true
	case "status":
		return refusedContent(h) == "" && !v.control.noStore && !v.control.noCache.present
	}
	return false
}

// sharedHeader adds to a kept header what an answer that is not stored tells all who asked at that moment.
func sharedHeader(kept, h http.Header) {
	for _, name := range []string{"Retry-After", "Www-Authenticate"} {
		if values, ok := h[name]; ok {
			kept[name] = slices.Clone(values)
		}
	}
}
