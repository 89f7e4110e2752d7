package oidc

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/internal/flight"
)

// IssuerState is whether an issuer answers, and how old its keys are.
type IssuerState struct {
	Issuer    string
	Reachable bool          // its last answer was good; true before the first fetch
	Since     time.Time     // when Reachable changed
	LastError string        // of the latest failure; kept after a recovery, empty before the first
	Keys      int           // that are in use
	Age       time.Duration // of the keys; 0 if there are none yet
}

// issuer is an issuer with the keys that it last published. Its edition is replaced as
// a whole.
type issuer struct {
	Issuer
	options *Options
	work    *workers
	edition atomic.Pointer[edition] // never nil

	mu      sync.Mutex
	flight  *flight.Flight[error] // the fetch under way; nil: none
	next    time.Time             // no fetch before this time
	failure *auth.UnavailableError
	state   IssuerState // without keys and age
}

// edition is a set of keys, with how long it is used.
type edition struct {
	set     *keySet   // nil: none was fetched yet
	fetched time.Time // when the fetch of set began
	renewal time.Time // from when a use starts a fetch in the background
	end     time.Time // from when a use waits for a fetch
}

// workers are the fetches under way, of all issuers.
type workers struct {
	mu     sync.Mutex
	group  sync.WaitGroup // grows only under mu and before closed
	closed bool
}

var errClosed = errors.New("the gateway is stopping")

// The part of the keys' life after which they are renewed, at random in between, so
// that gateways do not renew them together.
const (
	renewFrom = 70 // percent
	renewTo   = 90
)

// maxPause limits how long an issuer's Retry-After is obeyed, because new tokens of
// that issuer are not accepted meanwhile.
const maxPause = time.Minute

func newIssuer(t Issuer, o *Options, w *workers) *issuer {
	is := &issuer{Issuer: t, options: o, work: w}
	is.state = IssuerState{Issuer: t.URL, Reachable: true, Since: time.Now()}
	is.edition.Store(&edition{})
	return is
}

// usable reports whether the keys may be used at now without a fetch. It starts one in
// the background if they should be renewed. It does not wait.
func (is *issuer) usable(now time.Time) bool {
	e := is.edition.Load()
	if now.Before(e.end) && !now.Before(e.renewal) {
		is.warm(now)
	}
	return now.Before(e.end)
}

// warm starts a fetch in the background, unless there is one or it is too early.
func (is *issuer) warm(now time.Time) {
	is.mu.Lock()
	defer is.mu.Unlock()
	if is.flight == nil && !now.Before(is.next) {
		//nolint:forbidigo // no caller waits, so there is no context; the fetch has its own timeout
		is.start(context.Background())
	}
}

// keys returns the keys to use. It waits for a fetch if there are none, or if they are
// too old. Old keys stay in use if the fetch fails. Errors: *[auth.UnavailableError],
// the error of ctx.
func (is *issuer) keys(ctx context.Context) (*keySet, error) {
	if is.usable(time.Now()) {
		return is.edition.Load().set, nil
	}
	set, err := is.renew(ctx)
	if _, unreachable := errors.AsType[*auth.UnavailableError](err); unreachable && set != nil {
		return set, nil
	}
	return set, err
}

// renew returns the newest keys, after a fetch if one may be sent now. It returns the
// same set as before if the issuer still publishes that, or if it is too early. If the
// last fetch failed, it returns the keys in use, nil if there are none, and the error:
// *[auth.UnavailableError], or that of ctx.
func (is *issuer) renew(ctx context.Context) (*keySet, error) {
	is.mu.Lock()
	now, f := time.Now(), is.flight
	if f == nil && now.Before(is.next) {
		defer is.mu.Unlock()
		return is.edition.Load().set, is.early(now)
	}
	if f == nil {
		f = is.start(ctx)
	}
	is.mu.Unlock()
	failure, err := f.Wait(ctx)
	if err == nil {
		err = failure
	}
	return is.edition.Load().set, err
}

// early returns the error for a caller for which it is too early to fetch; nil if the
// last fetch succeeded. The caller holds mu.
func (is *issuer) early(now time.Time) error {
	if is.failure == nil {
		return nil
	}
	failure := *is.failure
	failure.RetryAfter = max(is.next.Sub(now), time.Second)
	return &failure
}

// start starts a fetch, which has its own deadline and continues after its caller's ctx
// ends. The caller holds mu.
func (is *issuer) start(ctx context.Context) *flight.Flight[error] {
	is.work.mu.Lock()
	defer is.work.mu.Unlock()
	if is.work.closed {
		return flight.Landed[error](is.unavailable(errClosed))
	}
	f := flight.New[error]()
	is.flight = f
	ctx = context.WithoutCancel(ctx)
	is.work.group.Go(func() { is.run(ctx, f) })
	return f
}

// run fetches the keys. Waiting callers get the result before OnChange is called, and
// the next fetch begins after that.
func (is *issuer) run(ctx context.Context, f *flight.Flight[error]) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, is.options.Timeout)
	defer cancel()
	set, err := is.fetchKeys(ctx, is.options.Transport)
	var changed bool
	if failure, ok := errors.AsType[*auth.UnavailableError](err); ok {
		changed = is.fail(failure, time.Now())
	} else {
		changed = is.succeed(set, began, time.Now())
	}
	f.Land(err)
	if changed && is.options.OnChange != nil {
		is.options.OnChange(is.snapshot(time.Now()))
	}
	is.mu.Lock()
	is.flight = nil
	is.mu.Unlock()
}

// succeed puts a set into use whose fetch began at the given time. It reports whether
// Reachable changed.
func (is *issuer) succeed(set *keySet, began, now time.Time) (changed bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	life := is.options.Refresh
	spread := life / 100 * (renewTo - renewFrom)
	is.edition.Store(&edition{
		set:     set.succeed(is.edition.Load().set),
		fetched: began,
		//nolint:gosec // spreads load, guards nothing
		renewal: began.Add(life/100*renewFrom + rand.N(spread+1)),
		end:     began.Add(life),
	})
	is.failure, is.next = nil, now.Add(is.options.UnknownKeyInterval)
	return is.become(true, now)
}

// fail prolongs the use of the keys, so that uses do not wait for an unreachable
// issuer. It reports whether Reachable changed.
func (is *issuer) fail(failure *auth.UnavailableError, now time.Time) (changed bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.next = now.Add(max(is.options.UnknownKeyInterval, min(failure.RetryAfter, maxPause)))
	failure.RetryAfter = is.next.Sub(now)
	is.failure, is.state.LastError = failure, failure.Cause.Error()
	if e := *is.edition.Load(); e.set != nil {
		e.renewal = is.next
		if end := now.Add(is.options.Refresh); e.end.Before(end) {
			e.end = end
		}
		is.edition.Store(&e)
	}
	return is.become(false, now)
}

// become records whether the last answer was good. The caller holds mu.
func (is *issuer) become(reachable bool, now time.Time) (changed bool) {
	changed = is.state.Reachable != reachable
	if changed {
		is.state.Reachable, is.state.Since = reachable, now
	}
	return changed
}

// nextFetch returns the time before which tokens cause no fetch.
func (is *issuer) nextFetch() time.Time {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.next
}

func (is *issuer) snapshot(now time.Time) IssuerState {
	is.mu.Lock()
	defer is.mu.Unlock()
	s := is.state
	if e := is.edition.Load(); e.set != nil {
		s.Keys, s.Age = len(e.set.keys), now.Sub(e.fetched)
	}
	return s
}
