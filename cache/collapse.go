package cache

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
)

// In this file, reads that miss at the same time wait for one fetch. Why a follower may
// get the answer of a fetch that began before the follower came:
//
//  1. A follower joins only a fetch of the same token, entry and stamp. It got its own stamp
//     after it came.
//  2. A write that was answered before the follower came made new generations before that.
//     The leader's stamp contains them too, because the stamps are equal and no generation
//     is used twice. And no lease was alive when the leader got its stamp. So the fetch
//     began after the write took effect.
//  3. A write that is marked after the follower got its stamp overlaps the follower's
//     request, which may see that write or not.
//  4. While a lease is alive, an epoch settles or coherence is not known, there is no [Fill]
//     and so no fetch to join.
//
// The token is part of the key because upstream authorizes each token separately: a
// client gets only an answer that upstream has just given to the client's own token.

// The bounds of waiting. A request that finds no room sends its own request upstream.
const (
	followersEach = 4096 // of one fetch
	followersAll  = 8192
)

// flightKey must be equal for a fetch and a request that joins it.
type flightKey struct {
	token [32]byte
	entry digest
	stamp coherence.Stamp
	// When upstream last refused the token: a later request does not join a fetch from
	// before the refusal.
	floor time.Time
}

// flightResult is the result of a fetch for its followers. The zero value makes each of
// them send its own request upstream: the answer is too large, or it must not be used
// twice.
type flightResult struct {
	entry *Entry // the answer
	err   error  // the reason that there is no answer
	again bool   // the leader gave up for its own reasons, or the answer is in the store: search again
}

// flight is a fetch under way that other requests may join. The mutex of its flights
// guards all fields that are not constant.
type flight struct {
	key       flightKey     // constant
	done      chan struct{} // made by the first follower, then constant; closed when result is known
	result    flightResult  // constant after that
	finished  bool          // result is known
	followers int
	abandon   func() // ends the fetch as soon as it has no followers; nil: the leader's client is still connected
}

// flights are the fetches under way. Each belongs to an exchange, so the number of
// exchanges bounds their number.
type flights struct {
	mu      sync.Mutex // guards the fields below
	active  map[flightKey]*flight
	waiting int
}

// join joins the flight of this key, or begins it if there is none and lead is true.
// Otherwise, and if there is no room to wait, f is nil.
func (fs *flights) join(key flightKey, follow, lead bool) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f = fs.active[key]
	switch {
	case f == nil && lead:
		f = &flight{key: key}
		fs.active[key] = f
		return f, true
	case f == nil || !follow || f.followers >= followersEach || fs.waiting >= followersAll:
		return nil, false
	}
	if f.done == nil {
		f.done = make(chan struct{})
	}
	f.followers++
	fs.waiting++
	return f, false
}

// finish ends the flight, once. A later request begins another one.
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
	if f.done != nil {
		close(f.done)
	}
}

// leave removes a follower that no longer waits. If the leader's client has left, the
// last follower ends the fetch.
func (fs *flights) leave(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.followers--
	fs.waiting--
	if f.abandon != nil && f.followers == 0 {
		fs.abandonLocked(f)
	}
}

// leaderLeft records that the leader's client has left: abandon is called as soon as
// the flight has no followers.
func (fs *flights) leaderLeft(f *flight, abandon func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.abandon = abandon
	if f.followers == 0 {
		fs.abandonLocked(f)
	}
}

// abandonLocked removes the flight first, so that no request joins a fetch that is
// ending.
func (fs *flights) abandonLocked(f *flight) {
	fs.finishLocked(f, flightResult{again: true})
	f.abandon()
}

// fetch handles a request that must be sent upstream: it follows a fetch of the same,
// leads one that others may join, or fetches alone.
func (s *Search) fetch(ctx context.Context, missed httpcache.Status, now time.Time) Result {
	if s.single || s.wants.OnlyIfCached {
		return s.sharedOrUpstream(ctx, missed, now)
	}
	flights := s.cache.flights
	// A validator of upstream is forwarded and may make the answer a 304, which no
	// other request can use.
	f, leads := flights.join(s.flightKey(), true, len(httpcache.StripOwnETags(s.question.Header["If-None-Match"])) == 0)
	switch {
	case f == nil:
		return s.sharedOrUpstream(ctx, missed, now)
	case !leads:
		s.flight, s.missed = f, missed
		return Result{Wait: true, Status: missed}
	}
	// Another fetch of the same may have ended since the search in the store. It stores
	// first and then ends, so its entry would now be fetched twice.
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

// sharedOrUpstream handles a request that neither this process nor a fetch under way
// can answer: it looks among the other replicas' entries, then sends the request
// upstream.
func (s *Search) sharedOrUpstream(ctx context.Context, missed httpcache.Status, now time.Time) Result {
	if found := s.findShared(ctx, now); found.Entry != nil {
		return found
	}
	return s.fill(missed.Forward, missed.Detail)
}

// findShared searches the entries of the other replicas for one that may be served, and
// stores it here. A token without a grant causes no search: its request must be sent
// upstream anyway.
func (s *Search) findShared(ctx context.Context, now time.Time) Result {
	c := s.cache
	if c.options.Shared == nil {
		return Result{}
	}
	if alive, _ := s.granted(now); !alive {
		return Result{}
	}
	e := c.options.Shared.Find(ctx, sharedName(s.key, &s.stamp))
	if e == nil || !s.adopt(e, now) {
		c.counts.sharedMisses.Add(1)
		return Result{}
	}
	c.counts.sharedHits.Add(1)
	return s.serve(e, now)
}

// adopt stores an entry of another replica, under the stamp that is part of its name,
// and reports whether it is fresh. The options of this replica bound it, because the
// other replica may have other options.
func (s *Search) adopt(e *Entry, now time.Time) bool {
	c := s.cache
	e.stamp, e.on = s.stamp, s.on
	times := c.learned.of(s.question.Location, s.question.Operation.Ref)
	e.Lifetime = min(e.Lifetime, times.longest(s.limit, &s.question.Operation))
	e.stale = staleness{
		min(e.stale.whileRevalidate, c.options.StaleWhileRevalidate), min(e.stale.ifError, c.options.StaleIfError),
	}
	if e.Left(now) <= 0 || int64(len(e.Body)) > c.options.EntryBytes {
		return false
	}
	c.put(s.key, e)
	return true
}

func (s *Search) flightKey() flightKey {
	return flightKey{s.question.Token, s.key, s.stamp, s.cache.grants.Refused(s.question.Token)}
}

// errNoFlight is the error of Follow without a flight.
var errNoFlight = errors.New("no fetch to wait for")

// ErrLate is the error of a fetch that others waited for and that took too long. They
// do not fetch by themselves then: otherwise all of them would send requests to an
// upstream that does not respond.
var ErrLate = errors.New("the fetch of another request took too long")

// Follow waits at most within for the fetch that [Search.Look] found. It returns the
// answer, or a Fill if the request must be sent upstream itself: because the answer of
// the other fetch must not be used twice, or its client gave it up. The error is the
// error of the fetch ([Fill.Fail]) or [ErrLate], so that not all waiting requests are
// sent to an upstream that is down; or ctx's own error.
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

// resultOf converts the result of a flight for this follower. If known is false, the
// follower must wait for another flight.
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
	case e == nil || !s.wants.Accepts(e.Age(now), max(0, e.Left(now))):
		return s.fill(s.missed.Forward, s.missed.Detail), true, nil
	default:
		s.cache.counts.collapsed.Add(1)
		status := s.missed
		status.Collapsed = true
		return Result{Entry: e, Status: status}, true, nil
	}
}

// FetchContext returns the context of the fetch, which replaces the request's own
// context, and the function that ends it. It has ctx's values and ends with ctx, unless
// others wait for the answer: then it ends when it has the answer or they have left
// too.
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

// Fail reports that there will be no answer because of err. The followers get err,
// unless the request's own client has disconnected ([context.Canceled]): then one of
// them fetches. Close must still be called.
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

// ReadAhead reports whether the answer must be read to its end before the client gets
// its first byte, so that a slow client does not delay the followers. It becomes false
// when the body is too large to keep; [Fill.Kept] returns the bytes that were read
// until then.
func (f *Fill) ReadAhead() bool { return f.flight != nil && f.taking }

// Kept returns the bytes of the body that have been kept so far. They are shared and
// must not be changed.
func (f *Fill) Kept() []byte { return f.body.Bytes() }

// sharable reports whether an answer that must not be stored may be given to requests
// that were made with the same token at the same time. It may if the only reason not to
// store it is its status, that it is private, or that the store's TTL is not known.
func sharable(v *httpcache.Verdict, h http.Header) bool {
	switch v.Refused {
	case "", "private", detailTTL:
		return true
	case "status":
		return refusedContent(h) == "" && !v.Control.NoStore && !v.Control.NoCache.Present
	}
	return false
}
