package auth

import (
	"context"
	"errors"
	"time"

	"osgate/internal/breaker"
)

// query is whose token it is that somebody wants to know, and who.
type query struct {
	plane   string
	token   Token
	hash    digest
	address string // of who asks; empty: nobody's failures count
}

// flight is one asking, for all who wait for its answer.
type flight struct {
	done    chan struct{} // closed when it is over: verdict and err are read only then
	verdict *verdict
	err     error // why there is no verdict; beside an unclear one what it says
	shared  bool  // the verdict is another gateway's

	awaited bool            // guarded by the Authenticator's mu: somebody waits
	clean   bool            // guarded by the Authenticator's mu: somebody waits at an address that is no suspect
	charged map[string]bool // guarded by the Authenticator's mu: addresses that its refusal was counted against
}

// ticket is the right to ask a plane once.
type admission struct {
	round uint64
	probe bool
}

var (
	errDown        = errors.New("it failed again and again")
	errSlow        = errors.New("it takes too long")
	errClosed      = errors.New("the gateway is stopping")
	errCrowded     = errors.New("too many askings")
	errLowPriority = errors.New("little may be asked at present, and nobody waits for this")
)

// flightsPerAsking bounds the flights, which look among the shared identities before they ask and tell the others after, in multiples of the askings.
const flightsPerLookup = 16

// How many flights there may be for one to start that nobody waits for, as parts of MaxAsking.
const (
	renewPart = 2
	warmPart  = 4
)

// join returns the flight for q that somebody waits for, the one under way or a new one. The caller holds mu.
func (a *Authenticator) join(ctx context.Context, q query) *flight {
	f, ok := a.flights[q.hash]
	if !ok {
		f = a.start(ctx, q)
	}
	f.awaited = true
	f.clean = f.clean || !a.suspects.have(q.address, time.Now())
	return f
}

// behind starts a flight for q that nobody waits for, unless there is one, or the plane or the gateway has better to do. The caller holds mu.
func (a *Authenticator) startUnawaited(ctx context.Context, q query, part int) {
	limit := max(1, a.options.MaxLookups/part)
	if _, ok := a.flights[q.hash]; !ok && a.running < limit && !a.plane(q.plane).busy(time.Now()) {
		a.start(ctx, q)
	}
}

// launch starts a flight, which has deadlines of its own and outlives whoever started it. The caller holds mu.
func (a *Authenticator) start(ctx context.Context, q query) *flight {
	f := &flight{done: make(chan struct{})}
	switch {
	case a.closed:
		f.err = &UnavailableError{Plane: q.plane, Cause: errClosed}
	case a.running >= flightsPerLookup*a.options.MaxLookups:
		f.err = &UnavailableError{Plane: q.plane, Cause: errCrowded, RetryAfter: minInterval}
	}
	if f.err != nil {
		close(f.done)
		return f
	}
	a.flights[q.hash] = f
	a.running++
	ctx = context.WithoutCancel(ctx)
	a.background.Go(func() {
		a.run(ctx, q, f)
		a.mu.Lock()
		a.running--
		a.mu.Unlock()
	})
	return f
}

// fly finds out: among the shared identities first, then from the control plane. Whoever waits is told before the other gateways are.
func (a *Authenticator) run(ctx context.Context, q query, f *flight) {
	shared, found := a.findShared(ctx, q.hash)
	t, ask := a.admit(q, f, shared)
	if !ask {
		close(f.done)
		return
	}
	began := time.Now()
	v, result, failure := a.fetch(ctx, q)
	a.reportLookup(q.plane, began, v, failure)
	kept := a.complete(q, f, t, outcome{v, result.Allowance, failure})
	close(f.done)
	a.notify()
	if kept {
		a.share(ctx, q.hash, v, found)
	}
}

// admit takes what the other gateways know if that is good enough; else it says whether the plane may be asked. If not, f is over.
func (a *Authenticator) admit(q query, f *flight, shared *verdict) (t admission, ask bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	known, _ := a.known.GetIfPresent(q.hash)
	if shared != nil && !a.floors.above(q.hash, shared.at) {
		shared = nil
	}
	if shared != nil && better(shared, known, now) {
		f.verdict, f.shared = shared, true
		a.finish(q, f, shared)
		return t, false
	}
	if shared != nil && a.flights[q.hash] == f && (known == nil || !known.fresh(now) && known.at.Before(shared.at)) {
		a.known.Set(q.hash, shared) // not fresh, but good for forwarding should the plane be down
	}
	if t, f.err = a.admission(q, f, now); f.err != nil {
		a.finish(q, f, nil)
	}
	return t, f.err == nil
}

// better reports whether what others know makes asking needless: it is fresh; and where what is known here is fresh too and only to be renewed, it is
// the younger, and not to be renewed itself.
func better(shared, known *verdict, now time.Time) bool {
	if known == nil || !known.fresh(now) {
		return shared.fresh(now)
	}
	return known.principal != nil && shared.at.After(known.at) && shared.young(now)
}

// ticket lets q be asked, or says why not. The caller holds mu.
func (a *Authenticator) admission(q query, f *flight, now time.Time) (admission, error) {
	p := a.plane(q.plane)
	switch {
	case a.lookups >= a.options.MaxLookups:
		return admission{}, &UnavailableError{Plane: q.plane, Cause: errCrowded, RetryAfter: minInterval}
	case !f.awaited && p.busy(now):
		return admission{}, &UnavailableError{Plane: q.plane, Cause: errLowPriority, RetryAfter: minInterval}
	}
	if wait := a.withheld(p, q, f, now); wait > 0 {
		return admission{}, &GuessingError{RetryAfter: wait}
	}
	round, verdict := p.breaker.Admit(now)
	if verdict == breaker.Refuse {
		return admission{}, p.down(now)
	}
	a.lookups++
	p.lookups++
	return admission{round: round, probe: verdict == breaker.Probe}, nil
}

// outcome is how an asking went.
type outcome struct {
	verdict   *verdict
	allowance Allowance
	failure   *UnavailableError // why there is no verdict, or why it is unclear
}

// fetch asks the control plane.
func (a *Authenticator) fetch(ctx context.Context, q query) (*verdict, Answer, *UnavailableError) {
	ctx, cancel := context.WithTimeout(ctx, a.options.Timeout)
	defer cancel()
	asked := time.Now()
	result, err := a.options.Resolver.Lookup(ctx, q.plane, q.token)
	now := time.Now()
	if err == nil && result.Principal == nil {
		err = &UnavailableError{Plane: q.plane, Cause: errNameless, Answered: true}
	}
	switch {
	case err == nil && result.Principal.expired(now):
		return a.no(now), result, nil
	case err == nil:
		return a.yes(result.Principal, asked), result, nil
	case errors.Is(err, ErrBadToken):
		return a.no(now), result, nil
	}
	failure, ok := errors.AsType[*UnavailableError](err)
	if !ok {
		failure = &UnavailableError{Plane: q.plane, Cause: err}
	}
	if failure.Answered {
		return a.unclear(failure, now), result, failure
	}
	return nil, result, failure
}

// land ends f with the outcome of its asking, and reports whether that is kept and decides, so that the other gateways should know.
func (a *Authenticator) complete(q query, f *flight, t admission, o outcome) (kept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.lookups--
	p := a.plane(q.plane)
	p.lookups--
	p.noteLookup(CallerOf(q.hash), o.allowance)
	if p.settle(t, o.failure, now) && a.options.OnChange != nil {
		a.changes = append(a.changes, p.snapshot(now))
	}
	f.verdict = o.verdict
	if o.failure != nil {
		f.err = o.failure
		a.finish(q, f, a.keepable(q.hash, o.verdict, now))
		return false
	}
	kept = a.finish(q, f, o.verdict)
	if kept && o.verdict.principal == nil {
		a.distrust(q.hash, now)
	}
	return kept
}

// keepable returns v, an unclear verdict or nil, unless a yes is known that is good for forwarding: that stays, and rests for as long as v is fresh. The
// caller holds mu.
func (a *Authenticator) keepable(h digest, v *verdict, now time.Time) *verdict {
	known, ok := a.known.GetIfPresent(h)
	if v == nil || !ok || !known.usable(now) {
		return v
	}
	known.backoff = now.Sub(known.at) + v.life
	return nil
}

// finish ends f, and keeps v, if any, unless the token was forgotten meanwhile. The caller holds mu.
func (a *Authenticator) finish(q query, f *flight, v *verdict) (kept bool) {
	if a.flights[q.hash] != f {
		return false
	}
	delete(a.flights, q.hash)
	if v != nil {
		a.known.Set(q.hash, v)
	}
	return v != nil
}
