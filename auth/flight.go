package auth

import (
	"context"
	"errors"
	"time"

	"osgate/internal/breaker"
	"osgate/internal/flight"
)

// query is a token to identify and the client address that presented it.
type query struct {
	plane   string
	token   Token
	hash    digest
	address string // of the client; empty: its failures are not counted
}

// lookupFlight is one lookup, for all callers that wait for its answer.
type lookupFlight struct {
	*flight.Flight[lookupResult]

	// awaited is whether a caller waits. Guarded by the Authenticator's mu, as the next
	// two.
	awaited bool
	clean   bool            // a caller waits whose address is no suspect
	charged map[string]bool // addresses that its refusal was counted against
}

// lookupResult is the result of a flight.
type lookupResult struct {
	verdict *verdict
	err     error // why there is no verdict, or why it is unclear
	shared  bool  // the verdict was shared by another gateway
}

// admission is the permission to send one lookup to a plane.
type admission struct {
	round uint64
	probe bool
}

var (
	errDown        = errors.New("its last answers were failures")
	errSlow        = errors.New("it has not answered yet")
	errClosed      = errors.New("the gateway is stopping")
	errCrowded     = errors.New("too many lookups are under way")
	errLowPriority = errors.New("background lookups wait until more of the allowance is left")
)

// flightsPerLookup limits the flights, which also read and write shared identities, as
// a multiple of the lookups.
const flightsPerLookup = 16

// How many flights may be under way when a background flight starts, as parts of
// MaxLookups.
const (
	renewPart = 2
	warmPart  = 4
)

// startUnawaited starts a flight for q in the background, unless there is one, or the
// plane or the gateway is busy. The caller holds mu.
func (a *Authenticator) startUnawaited(ctx context.Context, q query, part int) {
	limit := max(1, a.options.MaxLookups/part)
	if _, ok := a.flights[q.hash]; !ok && a.running < limit && !a.plane(q.plane).busy(time.Now()) {
		a.start(ctx, q)
	}
}

// start starts a flight, which has its own deadlines and continues after its caller's
// ctx ends. The caller holds mu.
func (a *Authenticator) start(ctx context.Context, q query) *lookupFlight {
	f := &lookupFlight{Flight: flight.New[lookupResult]()}
	switch {
	case a.closed:
		f.Land(lookupResult{err: &UnavailableError{Plane: q.plane, Cause: errClosed}})
		return f
	case a.running >= flightsPerLookup*a.options.MaxLookups:
		f.Land(lookupResult{err: &UnavailableError{Plane: q.plane, Cause: errCrowded, RetryAfter: minInterval}})
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

// run looks for a shared identity first, and then sends a lookup to the control plane.
// Waiting callers get the result before it is shared.
func (a *Authenticator) run(ctx context.Context, q query, f *lookupFlight) {
	shared, found := a.findShared(ctx, q.hash)
	t, result, needed := a.admit(q, f, shared)
	if !needed {
		f.Land(result)
		return
	}
	began := time.Now()
	v, answer, failure := a.fetch(ctx, q)
	a.reportLookup(q.plane, began, v, failure)
	o := outcome{v, answer.Allowance, failure}
	kept := a.complete(q, f, t, o)
	f.Land(o.result())
	if a.options.OnChange != nil { // mu is not held, so that it may call Planes
		a.changes.Deliver(a.options.OnChange)
	}
	if kept {
		a.share(ctx, q.hash, v, found)
	}
}

// reportLookup calls OnLookup for a lookup that began at began and has just ended with
// v, or with failure.
func (a *Authenticator) reportLookup(plane string, began time.Time, v *verdict, failure *UnavailableError) {
	if a.options.OnLookup == nil {
		return
	}
	q := Lookup{Plane: plane, Took: time.Since(began)}
	switch {
	case failure == nil && v.principal == nil:
		q.Result = resultRefused
	case failure == nil:
		q.Result = resultNamed
	case failure.Answered:
		q.Result = resultUnclear
	case failure.Limited:
		q.Result = resultLimited
	case failure.Unreached:
		q.Result = resultFailed
	default:
		q.Result = resultUnhelpful
	}
	a.options.OnLookup(q)
}

// admit uses the shared verdict if that is good enough; otherwise it reports that a
// lookup at the plane is needed, and permitted. If it returns false, f ends with
// result.
func (a *Authenticator) admit(
	q query, f *lookupFlight, shared *verdict,
) (t admission, result lookupResult, needed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	known, _ := a.known.GetIfPresent(q.hash)
	if shared != nil && !a.floors.above(q.hash, shared.at) {
		shared = nil
	}
	if shared != nil && better(shared, known, now) {
		a.finish(q, f, shared)
		return t, lookupResult{verdict: shared, shared: true}, false
	}
	if shared != nil && a.flights[q.hash] == f && (known == nil || !known.fresh(now) && known.at.Before(shared.at)) {
		a.known.Set(q.hash, shared) // not fresh, but it allows forwarding while the plane is down
	}
	t, err := a.admission(q, f, now)
	if err != nil {
		a.finish(q, f, nil)
	}
	return t, lookupResult{err: err}, err == nil
}

// better reports whether a shared verdict makes a lookup needless: it is fresh; and if
// the known verdict is fresh too and only due for renewal, the shared one is younger
// and not due for renewal itself.
func better(shared, known *verdict, now time.Time) bool {
	if known == nil || !known.fresh(now) {
		return shared.fresh(now)
	}
	return known.principal != nil && shared.at.After(known.at) && shared.young(now)
}

// young reports whether v is a yes that need not be renewed yet.
func (v *verdict) young(now time.Time) bool {
	return v.principal != nil && now.Sub(v.at) < v.life/100*renewFrom
}

// admission permits a lookup for q, or returns the error why not. The caller holds mu.
func (a *Authenticator) admission(q query, f *lookupFlight, now time.Time) (admission, error) {
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
		return admission{}, &UnavailableError{
			Plane: q.plane, Cause: errDown, RetryAfter: max(p.breaker.RetryAfter(now), minInterval),
		}
	}
	a.lookups++
	p.lookups++
	return admission{round: round, probe: verdict == breaker.Probe}, nil
}

// withheld returns for how long no lookup of a token is sent; 0: it is sent. Lookups
// are withheld while the rest of the plane's allowance for this gateway is reserved, if
// all callers that wait for the answer use addresses that sent refused tokens a short
// time ago. Otherwise, one client that guesses would spend the reserve, and no new
// token of any client could be identified.
func (a *Authenticator) withheld(p *plane, q query, f *lookupFlight, now time.Time) time.Duration {
	if f.clean || !a.guards(q) {
		return 0
	}
	return p.reserved("", now)
}

// outcome is the result of a lookup.
type outcome struct {
	verdict   *verdict
	allowance Allowance
	failure   *UnavailableError // why there is no verdict, or why it is unclear
}

// result returns the result for the callers that wait.
func (o *outcome) result() lookupResult {
	if o.failure != nil {
		return lookupResult{verdict: o.verdict, err: o.failure}
	}
	return lookupResult{verdict: o.verdict}
}

// fetch sends a lookup to the control plane.
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

// complete ends f with the outcome of its lookup. It reports whether the verdict is
// kept and certain, so that it should be shared.
func (a *Authenticator) complete(q query, f *lookupFlight, t admission, o outcome) (kept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.lookups--
	p := a.plane(q.plane)
	p.lookups--
	p.noteLookup(CallerOf(q.hash), o.allowance)
	if p.settle(t, o.failure, now) && a.options.OnChange != nil {
		a.changes.Add(p.snapshot(now))
	}
	if o.failure != nil {
		a.finish(q, f, a.keepable(q.hash, o.verdict, now))
		return false
	}
	kept = a.finish(q, f, o.verdict)
	if kept && o.verdict.principal == nil {
		a.distrust(q.hash, now)
	}
	return kept
}

// noteLookup stores the allowance in the answer to a lookup for caller.
func (p *plane) noteLookup(caller string, result Allowance) {
	if result.Limit > 0 {
		p.allowance = result
		p.note(caller, result)
	}
}

// settle records the outcome of a lookup and reports whether that changed p's state. A
// refusal is an answer, for which failure is nil. An unclear answer is no failure of
// the plane either.
func (p *plane) settle(t admission, failure *UnavailableError, now time.Time) (changed bool) {
	answered := failure == nil || failure.Answered
	if !answered {
		p.state.LastError = failure.Cause.Error()
		if failure.Limited {
			p.quietUntil = now.Add(max(failure.RetryAfter, minInterval))
		}
	}
	if t.probe {
		changed = p.breaker.Probed(answered, now)
	} else {
		changed = p.breaker.Settle(t.round, answered, now)
	}
	if changed {
		p.state.OK, p.state.Since = p.breaker.Closed(), now
	}
	return changed
}

// keepable returns v, an unclear verdict or nil. It returns nil if the known verdict
// allows forwarding: that one stays, without another lookup for as long as v is fresh.
// The caller holds mu.
func (a *Authenticator) keepable(h digest, v *verdict, now time.Time) *verdict {
	known, ok := a.known.GetIfPresent(h)
	if v == nil || !ok || !known.usable(now) {
		return v
	}
	known.backoff = now.Sub(known.at) + v.life
	return nil
}

// finish ends f and stores v, if not nil, unless the token was forgotten meanwhile. The
// caller holds mu.
func (a *Authenticator) finish(q query, f *lookupFlight, v *verdict) (kept bool) {
	if a.flights[q.hash] != f {
		return false
	}
	delete(a.flights, q.hash)
	if v != nil {
		a.known.Set(q.hash, v)
	}
	return v != nil
}

// Shared is a place where gateways with the same secret share identities. It contains
// only accepted tokens. It may forget anything at any time, and must return within a
// fraction of a second. It is safe for concurrent use; *[Redis] implements it.
type Shared interface {
	// Get returns the identity stored under hash.
	Get(ctx context.Context, hash [32]byte) Found
	// Put stores p under hash for lifetime, counted from asked, which is the Clock of
	// an earlier Get.
	Put(ctx context.Context, hash [32]byte, p *Principal, asked time.Time, lifetime time.Duration)
	// Drop deletes the identity stored under hash.
	Drop(ctx context.Context, hash [32]byte)
}

// Found is a result of [Shared].Get. The zero Found means that the place could not be
// read.
type Found struct {
	Principal *Principal    // nil: no usable identity is stored
	Age       time.Duration // since its lookup began; never less than the real age
	// Clock is the place's own clock during the Get; zero: it was not read. It need not
	// agree with the clock of a gateway.
	Clock time.Time
}

// findShared reads the shared identity of h. It returns its verdict, nil if there is
// none, and the result of the Get.
func (a *Authenticator) findShared(ctx context.Context, h digest) (*verdict, Found) {
	if a.options.Shared == nil {
		return nil, Found{}
	}
	began := time.Now()
	found := a.options.Shared.Get(ctx, h)
	if found.Principal == nil {
		return nil, found
	}
	return a.yes(found.Principal, began.Add(-max(0, found.Age))), found
}

// share stores the result of a lookup in the shared place. It waits for that place.
func (a *Authenticator) share(ctx context.Context, h digest, v *verdict, found Found) {
	switch {
	case a.options.Shared == nil:
	case v.principal == nil && (found.Principal != nil || found.Clock.IsZero()):
		a.options.Shared.Drop(ctx, h)
	case v.principal != nil && !found.Clock.IsZero():
		a.options.Shared.Put(ctx, h, v.principal, found.Clock, v.end)
	}
}
