package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// Authenticator keeps what control planes say of tokens. It is safe for concurrent use.
type Authenticator struct {
	options    Options // without Secret
	digests    *digester
	known      *otter.Cache[digest, *verdict]
	background sync.WaitGroup // grows only under mu and before closed
	counts     counts

	mu       sync.Mutex         // guards what follows, and orders what is kept with what is forgotten
	planes   map[string]*plane  // at most one entry a plane
	flights  map[digest]*flight // that may still be joined
	running  int                // flights, those that were forgotten included
	lookups  int                // those of them that wait for a control plane
	floors   floors
	suspects suspects
	changes  []PlaneState // not yet told to OnChange
	closed   bool

	notifying sync.Mutex // held while OnChange runs, so that changes are told in order
}

// New returns an Authenticator, or an error for options that cannot work.
func New(o Options) (*Authenticator, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	secret := o.Secret
	if o.Secret = nil; len(secret) == 0 {
		secret = make([]byte, sha256.Size)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
	}
	known, err := otter.New(&otter.Options[digest, *verdict]{
		MaximumWeight: o.Bytes, InitialCapacity: 256,
		Weigher: func(_ digest, v *verdict) uint32 { return v.weight },
	})
	if err != nil {
		return nil, fmt.Errorf("making the token cache: %w", err)
	}
	return &Authenticator{
		options: o, digests: newDigester(secret, o.Resolver.Validator), known: known,
		planes: map[string]*plane{}, flights: map[digest]*flight{},
		floors: floors{of: map[digest]time.Time{}, life: o.TTL + o.Stale},
	}, nil
}

// Identify says whose token it is on plane, for a caller at an address; an empty address is nobody's, and its failures do not count. It waits for the
// control plane where nothing fresh is known and that answers, at most until ctx ends; others that ask for the same token meanwhile share the answer, and
// one's leaving fails nobody. Errors: [ErrBadToken], *[GuessingError], *[UnavailableError], ctx's own.
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

// await finds out whose token it is, where v, which may be nil, is what is known and does not say it. The flight is the one that said so, nil
// if none did.
func (a *Authenticator) await(ctx context.Context, q query, v *verdict) (*flight, Identity, error) {
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

// follow waits for f, where v, which may be nil, is what is known at now. It returns f if that said whose token it is.
func (a *Authenticator) follow(ctx context.Context, q query, f *flight, v *verdict, now time.Time) (*flight, Identity, error) {
	patience, stop := patienceWith(v, now)
	defer stop()
	select {
	case <-f.done:
	case <-patience:
		id, err := a.fallback(q, &UnavailableError{Plane: q.plane, Cause: errSlow, RetryAfter: minInterval})
		return nil, id, err
	case <-ctx.Done():
		return nil, Identity{Hash: q.hash}, ctx.Err()
	}
	switch {
	case f.err != nil:
		id, err := a.fallback(q, f.err)
		if err != nil && f.verdict != nil {
			a.charge(ctx, q, f)
		}
		return nil, id, err
	case f.verdict.principal == nil:
		a.charge(ctx, q, f)
	}
	id, err := q.identity(f.verdict, false)
	return f, id, err
}

// grace is how long a caller waits for a slow plane whose token is good for forwarding anyway. The asking goes on behind its back.
const grace = 500 * time.Millisecond

// patienceWith returns what ends the wait of a caller of whom v is known, which may be nil: nothing, where it is not good for forwarding.
func patienceWith(v *verdict, now time.Time) (over <-chan time.Time, stop func()) {
	if v == nil || !v.usable(now) {
		return nil, func() {}
	}
	t := time.NewTimer(grace)
	return t.C, func() { t.Stop() }
}

// look returns the flight to wait for, and what is known meanwhile; or no flight, and what is known, where that became fresh meanwhile, where its last
// asking was unclear a moment ago, or where the plane is down: then a probe that is due runs behind the caller's back.
func (a *Authenticator) findFlight(ctx context.Context, q query) (*flight, *verdict) {
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
	if p.probeDue(now) || a.options.Shared != nil && v.claim(now.Sub(v.at)) {
		a.startUnawaited(ctx, q, renewPart)
	}
	return nil, v
}

// answer is what q's caller is told of v, which is known.
func (a *Authenticator) answer(ctx context.Context, q query, v *verdict) (Identity, error) {
	if v.principal == nil {
		return Identity{Hash: q.hash}, a.repeat(ctx, q, v)
	}
	return q.identity(v, !v.fresh(time.Now()))
}

// fall is what q's caller is told when nobody knows: what was said before, or err.
func (a *Authenticator) fallback(q query, err error) (Identity, error) {
	// Looked up again: what was known before the asking may have been forgotten since.
	now := time.Now()
	if v, ok := a.known.GetIfPresent(q.hash); ok && v.usable(now) {
		return q.identity(v, !v.fresh(now))
	}
	return Identity{Hash: q.hash}, err
}

// identity is the outcome of a verdict.
func (q query) identity(v *verdict, stale bool) (Identity, error) {
	if v.principal == nil {
		return Identity{Hash: q.hash}, v.err(time.Now())
	}
	return Identity{Principal: v.principal, Hash: q.hash, Stale: stale, Age: time.Since(v.at)}, nil
}

// renew asks again ahead of the end of a token that is in use, while nobody waits for it.
func (a *Authenticator) renew(ctx context.Context, q query) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.startUnawaited(ctx, q, renewPart)
}

// Warm starts asking whose token it is, so that the first request that carries it finds the answer: for a token that was minted through the
// gateway. It does not wait, and does nothing when too much is being asked already or little may be asked.
func (a *Authenticator) Warm(plane string, token Token) {
	h := a.digests.of(plane, token)
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, ok := a.known.GetIfPresent(h); !ok || !v.fresh(time.Now()) {
		//nolint:forbidigo // nobody waits, so there is no context; the asking has its own bound
		a.startUnawaited(context.Background(), query{plane: plane, token: token, hash: h}, warmPart)
	}
}

// Forget drops what is known of a token, as when it was revoked through the gateway, and what is being asked of it: a yes on its way is no longer true.
// It drops the shared identity too, and does not wait for that. It returns what stands for the token elsewhere, as in [Identity].
func (a *Authenticator) Forget(plane string, token Token) (hash [32]byte) {
	h := a.digests.of(plane, token)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(h)
	return h
}

// Doubt drops what is known of a token that upstream answered 401, so that the next request asks again; but not what was learned within NegativeTTL, at
// least a second, so that one client cannot make the gateway ask on every request.
func (a *Authenticator) Doubt(h [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, ok := a.known.GetIfPresent(h); ok && time.Since(v.at) >= max(a.options.NegativeTTL, minInterval) {
		a.drop(h)
	}
}

// drop forgets h, here and in the shared place. The caller holds mu.
func (a *Authenticator) drop(h digest) {
	delete(a.flights, h)
	a.known.Invalidate(h)
	a.distrust(h, time.Now())
	if a.options.Shared == nil || a.closed || a.running >= flightsPerLookup*a.options.MaxLookups {
		return
	}
	a.running++
	a.background.Go(func() {
		//nolint:forbidigo // nobody waits, so there is no context; the place has its own bound
		a.options.Shared.Drop(context.Background(), h)
		a.mu.Lock()
		a.running--
		a.mu.Unlock()
	})
}

// distrust keeps what was shared about h before now from being taken. The caller holds mu.
func (a *Authenticator) distrust(h digest, now time.Time) {
	if a.options.Shared != nil {
		a.floors.raise(h, now)
	}
}

// Close waits for the askings under way, each bounded by Timeout, and for what the others are told of them. What would have to be asked later is
// unavailable.
func (a *Authenticator) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.background.Wait()
}
