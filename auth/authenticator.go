package auth

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/internal/changes"
)

// Authenticator identifies tokens and caches the answers of control planes. It is safe
// for concurrent use.
type Authenticator struct {
	options    Options // without Secret
	digests    *digester
	known      *otter.Cache[digest, *verdict]
	background sync.WaitGroup // of flights and drops; grows only under mu and before closed
	counts     counts

	// guards the fields below, and orders the storing of answers with Forget and Doubt
	mu       sync.Mutex
	planes   map[string]*plane        // at most one entry for each plane
	flights  map[digest]*lookupFlight // those that callers may still join
	running  int                      // flights and drops under way, forgotten flights included
	lookups  int                      // flights that wait for a control plane
	floors   floors
	suspects suspects
	closed   bool

	changes changes.Queue[PlaneState] // not yet reported to OnChange
}

// New returns an Authenticator, or an error for options that cannot work.
func New(o Options) (*Authenticator, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	key := HashKey(o.Secret)
	o.Secret = nil
	known, err := otter.New(&otter.Options[digest, *verdict]{
		MaximumWeight: o.Bytes, InitialCapacity: 256,
		Weigher: func(_ digest, v *verdict) uint32 { return v.weight },
	})
	if err != nil {
		return nil, fmt.Errorf("making the token cache: %w", err)
	}
	return &Authenticator{
		options: o, digests: newDigester(key, o.Resolver.Validator), known: known,
		planes: map[string]*plane{}, flights: map[digest]*lookupFlight{},
		floors: floors{of: map[digest]time.Time{}, life: o.TTL + o.Stale},
	}, nil
}

// Identify returns the principal of token on plane, for a caller at an address. An
// empty address means that the caller's failures are not counted. If no fresh answer is
// known, Identify waits for the control plane until ctx ends; concurrent calls for the
// same token share one lookup, and the end of one ctx does not end it for the others.
// Errors: [ErrBadToken], *[GuessingError], *[UnavailableError], the error of ctx.
func (a *Authenticator) Identify(ctx context.Context, plane string, token Token, address string) (Identity, error) {
	q := query{plane, token, a.digests.of(plane, token), address}
	v, _ := a.known.GetIfPresent(q.hash)
	if id, standing := a.recall(ctx, q, v); standing == Fresh {
		return id, nil
	}
	f, id, err := a.await(ctx, q, v)
	a.counts.add(f, &id, err)
	return id, err
}

// await identifies the token of q, if v, the known verdict or nil, is not fresh. It
// returns the flight that found the principal, nil if none did.
func (a *Authenticator) await(ctx context.Context, q query, v *verdict) (*lookupFlight, Identity, error) {
	now := time.Now()
	if v != nil && v.principal == nil && v.fresh(now) {
		return nil, Identity{Hash: q.hash}, a.repeat(ctx, q, v)
	}
	if err := a.checkGuard(q, v, now); err != nil {
		return nil, Identity{Hash: q.hash}, err
	}
	f, v := a.findFlight(ctx, q)
	if f == nil {
		id, err := a.answer(ctx, q, v)
		return nil, id, err
	}
	return a.follow(ctx, q, f, v, now)
}

// checkGuard returns a *[GuessingError] if q's caller may not cause a lookup at
// present. v is the known verdict on the token, which may be nil: tokens known to be
// good never wait because of guessing.
func (a *Authenticator) checkGuard(q query, v *verdict, now time.Time) error {
	if !a.guards(q) || v != nil && v.usable(now) {
		return nil
	}
	if v != nil && v.principal == nil {
		if err := a.guarded(q.repeated()); err != nil {
			return err
		}
	}
	return a.guarded(q.address)
}

// follow waits for f, where v, which may be nil, is the verdict that was known at now.
// It returns f if f found the principal.
func (a *Authenticator) follow(
	ctx context.Context, q query, f *lookupFlight, v *verdict, now time.Time,
) (*lookupFlight, Identity, error) {
	patience, stop := patienceWith(v, now)
	defer stop()
	select {
	case <-f.Done():
	case <-patience:
		id, err := a.fallback(q, &UnavailableError{Plane: q.plane, Cause: errSlow, RetryAfter: minInterval})
		return nil, id, err
	case <-ctx.Done():
		return nil, Identity{Hash: q.hash}, ctx.Err()
	}
	result := f.Result()
	switch {
	case result.err != nil:
		id, err := a.fallback(q, result.err)
		if err != nil && result.verdict != nil {
			a.charge(ctx, q, f)
		}
		return nil, id, err
	case result.verdict.principal == nil:
		a.charge(ctx, q, f)
	}
	id, err := q.identity(result.verdict, false)
	return f, id, err
}

// grace is how long a caller waits for a slow plane if its token may be forwarded
// anyway. The lookup continues in the background.
const grace = 500 * time.Millisecond

// patienceWith returns a channel that receives when the caller should stop waiting. It
// is nil if v, which may be nil, does not allow forwarding.
func patienceWith(v *verdict, now time.Time) (over <-chan time.Time, stop func()) {
	if v == nil || !v.usable(now) {
		return nil, func() {}
	}
	t := time.NewTimer(grace)
	return t.C, func() { t.Stop() }
}

// findFlight returns the flight to wait for and the verdict known so far. It returns no
// flight but only the verdict if that became fresh meanwhile, if the answer to its last
// lookup was unclear a moment ago, or if the plane is down; in the last case it starts
// a probe in the background if one is due.
func (a *Authenticator) findFlight(ctx context.Context, q query) (*lookupFlight, *verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	v, ok := a.known.GetIfPresent(q.hash)
	if ok && (v.fresh(now) || v.usable(now) && v.inBackoff(now)) {
		return nil, v
	}
	p := a.plane(q.plane)
	if !ok || !v.usable(now) || p.breaker.Closed() {
		return a.join(ctx, q), v
	}
	if p.breaker.RetryAfter(now) == 0 || a.options.Shared != nil && v.claim(now.Sub(v.at)) {
		a.startUnawaited(ctx, q, renewPart)
	}
	return nil, v
}

// inBackoff reports whether v is a yes that must not cause a lookup yet. The caller
// holds the Authenticator's mu.
func (v *verdict) inBackoff(now time.Time) bool { return now.Sub(v.at) < v.backoff }

// join returns a flight for q's caller to wait for, the one under way or a new one. The
// caller holds mu.
func (a *Authenticator) join(ctx context.Context, q query) *lookupFlight {
	f, ok := a.flights[q.hash]
	if !ok {
		f = a.start(ctx, q)
	}
	f.awaited = true
	f.clean = f.clean || !a.suspects.have(q.address, time.Now())
	return f
}

// answer returns the result for q's caller by v, which is not nil.
func (a *Authenticator) answer(ctx context.Context, q query, v *verdict) (Identity, error) {
	if v.principal == nil {
		return Identity{Hash: q.hash}, a.repeat(ctx, q, v)
	}
	return q.identity(v, !v.fresh(time.Now()))
}

// fallback returns the result for q's caller if the lookup failed: the identity of an
// earlier answer, or err.
func (a *Authenticator) fallback(q query, err error) (Identity, error) {
	// Read again: Forget or Doubt may have dropped the verdict since the lookup
	// started.
	now := time.Now()
	if v, ok := a.known.GetIfPresent(q.hash); ok && v.usable(now) {
		return q.identity(v, !v.fresh(now))
	}
	return Identity{Hash: q.hash}, err
}

// identity returns the identity or error of a verdict.
func (q query) identity(v *verdict, stale bool) (Identity, error) {
	if v.principal == nil {
		return Identity{Hash: q.hash}, v.err(time.Now())
	}
	return Identity{Principal: v.principal, Hash: q.hash, Stale: stale, Age: time.Since(v.at)}, nil
}

// renew starts a lookup for a token in use ahead of its end, in the background.
func (a *Authenticator) renew(ctx context.Context, q query) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.startUnawaited(ctx, q, renewPart)
}

// Warm starts a lookup of a token that was minted through the gateway, so that the
// first request with it finds the answer. It does not wait, and does nothing while many
// lookups are under way or little of the plane's allowance is left.
func (a *Authenticator) Warm(plane string, token Token) {
	h := a.digests.of(plane, token)
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, ok := a.known.GetIfPresent(h); !ok || !v.fresh(time.Now()) {
		//nolint:forbidigo // no caller waits; the lookup has its own timeout
		a.startUnawaited(context.Background(), query{plane: plane, token: token, hash: h}, warmPart)
	}
}

// Forget drops the known verdict on a token, as after it was revoked through the
// gateway, and ignores the answers of lookups under way, which may be outdated. It
// drops the shared identity in the background. It returns the hash of the token, as in
// [Identity].
func (a *Authenticator) Forget(plane string, token Token) (hash [32]byte) {
	h := a.digests.of(plane, token)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(h)
	return h
}

// Doubt drops the known verdict on a token that upstream answered 401, so that the next
// request causes a lookup. It keeps a verdict younger than NegativeTTL or a second, so
// that one client cannot cause a lookup for each request.
func (a *Authenticator) Doubt(h [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, ok := a.known.GetIfPresent(h); ok && time.Since(v.at) >= max(a.options.NegativeTTL, minInterval) {
		a.drop(h)
	}
}

// drop removes h, here and from the shared place. The caller holds mu.
func (a *Authenticator) drop(h digest) {
	delete(a.flights, h)
	a.known.Invalidate(h)
	a.distrust(h, time.Now())
	if a.options.Shared == nil || a.closed || a.running >= flightsPerLookup*a.options.MaxLookups {
		return
	}
	a.running++
	a.background.Go(func() {
		//nolint:forbidigo // no caller waits, so there is no context; Shared has its own timeout
		a.options.Shared.Drop(context.Background(), h)
		a.mu.Lock()
		a.running--
		a.mu.Unlock()
	})
}

// distrust ignores identities of h that were shared before now. The caller holds mu.
func (a *Authenticator) distrust(h digest, now time.Time) {
	if a.options.Shared != nil {
		a.floors.raise(h, now)
	}
}

// maxFloors limits the floors of single tokens.
const maxFloors = 1 << 16

// floors are the times before which a shared identity of a token is not believed, so
// that a token that was refused, revoked or doubted here is not accepted again because
// of an older shared identity. The owner's lock guards it.
type floors struct {
	of   map[digest]time.Time
	all  time.Time     // the floor of every token
	life time.Duration // a shared identity older than this is not used anyway
}

// raise ignores shared identities of h whose lookup began before now.
func (f *floors) raise(h digest, now time.Time) {
	if len(f.of) >= maxFloors {
		for old, at := range f.of {
			if now.Sub(at) > f.life {
				delete(f.of, old)
			}
		}
	}
	if len(f.of) >= maxFloors { // too many within a short time: forget no floor, but raise that of all tokens
		f.all = now
		clear(f.of)
	}
	f.of[h] = now
}

// above reports whether an identity of h may be believed if its lookup began at asked.
func (f *floors) above(h digest, asked time.Time) bool {
	return asked.After(f.all) && asked.After(f.of[h])
}

// Close waits for the lookups under way, each limited by Timeout, and for their results
// to be shared. Later calls that need a lookup return *[UnavailableError].
func (a *Authenticator) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.background.Wait()
}

// TokenState is the knowledge of this process about a token.
type TokenState int

const (
	// Unknown is a token that is new, refused, or was confirmed too long ago.
	Unknown TokenState = iota
	// Stale is a token that its control plane has confirmed, but whose identity has
	// ended. It lasts as long as the token may be forwarded while the control plane is
	// down.
	Stale
	// Fresh is a token whose identity is valid now.
	Fresh
)

// Recall returns the state of token on plane, and never waits. The Identity is valid if
// the TokenState is [Fresh]. It then counts as an identification, and may start a
// renewal ahead of the identity's end, as [Authenticator.Identify] does. Safe for
// concurrent use.
func (a *Authenticator) Recall(ctx context.Context, plane string, token Token, address string) (Identity, TokenState) {
	q := query{plane, token, a.digests.of(plane, token), address}
	v, _ := a.known.GetIfPresent(q.hash)
	return a.recall(ctx, q, v)
}

// recall is Recall where v, which may be nil, is the known verdict.
func (a *Authenticator) recall(ctx context.Context, q query, v *verdict) (Identity, TokenState) {
	if v == nil || v.principal == nil {
		return Identity{Hash: q.hash}, Unknown
	}
	age := time.Since(v.at)
	switch {
	case age < v.life:
		if v.claim(age) {
			a.renew(ctx, q)
		}
		a.counts.known.Add(1)
		return Identity{Principal: v.principal, Hash: q.hash, Age: age}, Fresh
	case age < v.end:
		return Identity{Hash: q.hash}, Stale
	}
	return Identity{Hash: q.hash}, Unknown
}
