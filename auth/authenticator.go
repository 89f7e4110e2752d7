package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// Asker asks a control plane whose a token is. Ask is called once for all that wait for the same answer, with a deadline that it must keep. It returns a
// principal or an error: either [ErrBadToken], which is kept for a while and refuses the caller, or anything else, which means that nobody knows.
type Asker interface {
	Ask(ctx context.Context, plane string, token Token) (*Principal, error)
}

// Authenticator keeps what control planes say of tokens. It is safe for concurrent use.
type Authenticator struct {
	options Options // without Secret
	digests *digester
	known   *otter.Cache[digest, *verdict]
	asking  sync.WaitGroup // grows only under mu and before closed

	mu      sync.Mutex           // guards what follows, and orders what is kept with what is forgotten
	down    map[string]time.Time // plane -> until when it is not asked again; at most one entry a plane
	flights map[digest]*flight   // askings under way
	closed  bool
}

// verdict is what a control plane said of a token.
type verdict struct {
	principal *Principal // nil: refused
	at        time.Time  // of a yes when it was asked, since a right may have ended while the answer was on its way; of a no when it came
}

// flight is one asking, for all who wait for its answer.
type flight struct {
	done    chan struct{} // closed when it is over: what follows is read only then
	verdict *verdict
	err     error
}

// UnavailableError says that a control plane could not be asked. It is never the caller's fault.
type UnavailableError struct {
	Plane      string
	RetryAfter time.Duration // 0: unknown
	Unreached  bool          // it gave no answer at all, so it will give none to others either
	Cause      error
}

// Error names the plane and the cause.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("control plane %s is not available: %v", e.Plane, e.Cause)
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

const (
	askTimeout  = 5 * time.Second
	capacity    = 100_000
	maxWarming  = 64          // while so much is being asked, nothing is asked that nobody waits for
	downPause   = time.Second // after a failure a plane is left alone this long
	minRetryAft = time.Second
)

// New returns an Authenticator, or an error for options that cannot work.
func New(o Options) (*Authenticator, error) {
	if o.Asker == nil || o.TTL <= 0 || o.NegativeTTL < 0 || o.Stale < 0 || o.Timeout < 0 || o.Capacity < 0 {
		return nil, errors.New("auth: an asker and a positive TTL are needed, and nothing negative")
	}
	if o.Timeout == 0 {
		o.Timeout = askTimeout
	}
	if o.Capacity == 0 {
		o.Capacity = capacity
	}
	secret := o.Secret
	if o.Secret = nil; len(secret) == 0 {
		secret = make([]byte, sha256.Size)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
	}
	known, err := otter.New(&otter.Options[digest, *verdict]{MaximumSize: o.Capacity, InitialCapacity: 256})
	if err != nil {
		return nil, fmt.Errorf("making the token cache: %w", err)
	}
	return &Authenticator{options: o, digests: newDigester(secret), known: known, down: map[string]time.Time{}, flights: map[digest]*flight{}}, nil
}

// Identify says whose token it is on plane. It waits for the control plane where nothing fresh is known, at most until ctx ends; others that ask for the
// same token meanwhile share the answer, and one's leaving fails nobody. Errors: [ErrBadToken], *[UnavailableError], ctx's own.
func (a *Authenticator) Identify(ctx context.Context, plane string, token Token) (Identity, error) {
	h := a.digests.of(plane, token)
	if v, ok := a.known.GetIfPresent(h); ok {
		if now := time.Now(); a.fresh(v, now) {
			return v.identity(h, now, false)
		}
	}
	v, err := a.ask(ctx, plane, token, h)
	now := time.Now() // the asking took its time
	if err == nil {
		return v.identity(h, now, false)
	}
	if _, unavailable := errors.AsType[*UnavailableError](err); unavailable {
		// Looked up again: what was known before the asking may have been forgotten since.
		if v, ok := a.known.GetIfPresent(h); ok && v.principal != nil && now.Sub(v.at) < a.options.TTL+a.options.Stale {
			return v.identity(h, now, true)
		}
	}
	return Identity{Hash: h}, err
}

// Warm starts asking whose token it is, so that the first request that carries it finds the answer: for a token that was minted through the
// gateway. It does not wait, and does nothing when too much is being asked already.
func (a *Authenticator) Warm(plane string, token Token) {
	h := a.digests.of(plane, token)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.flights) < maxWarming {
		a.join(context.Background(), plane, token, h) //nolint:forbidigo // nobody waits, so there is no context; the asking has its own bound
	}
}

// Forget drops what is known of a token, as when it was revoked through the gateway, and what is being asked of it: a yes on its way is no longer true.
func (a *Authenticator) Forget(plane string, token Token) {
	h := a.digests.of(plane, token)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.flights, h)
	a.known.Invalidate(h)
}

// Doubt drops what is known of a token that upstream answered 401, so that the next request asks again; but not what was learned within NegativeTTL,
// so that one client cannot make the gateway ask on every request.
func (a *Authenticator) Doubt(h [32]byte) {
	a.known.ComputeIfPresent(h, func(v *verdict) (*verdict, otter.ComputeOp) {
		if time.Since(v.at) < a.options.NegativeTTL {
			return v, otter.CancelOp
		}
		return nil, otter.InvalidateOp
	})
}

// Close waits for the askings under way, each bounded by Timeout. What would have to be asked later is unavailable.
func (a *Authenticator) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.asking.Wait()
}

func (a *Authenticator) fresh(v *verdict, now time.Time) bool {
	if v.principal == nil {
		return now.Sub(v.at) < a.options.NegativeTTL
	}
	return now.Sub(v.at) < a.options.TTL
}

func (v *verdict) identity(h digest, now time.Time, stale bool) (Identity, error) {
	if v.principal == nil {
		return Identity{Hash: h}, ErrBadToken
	}
	return Identity{Principal: v.principal, Hash: h, Stale: stale, Age: now.Sub(v.at)}, nil
}

// ask waits for the one asking that serves all who wait for the same.
func (a *Authenticator) ask(ctx context.Context, plane string, token Token, h digest) (*verdict, error) {
	a.mu.Lock()
	f := a.join(ctx, plane, token, h)
	a.mu.Unlock()
	select {
	case <-f.done:
		return f.verdict, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns the asking under way for h, or starts one, which has a deadline of its own and outlives whoever started it. The caller holds mu.
func (a *Authenticator) join(ctx context.Context, plane string, token Token, h digest) *flight {
	if f, ok := a.flights[h]; ok {
		return f
	}
	// Looked up again: an asking may have ended between the caller's look and its turn here.
	if v, ok := a.known.GetIfPresent(h); ok && a.fresh(v, time.Now()) {
		return landed(v, nil)
	}
	if err := a.paused(plane); err != nil {
		return landed(nil, err)
	}
	f := &flight{done: make(chan struct{})}
	a.flights[h] = f
	ctx = context.WithoutCancel(ctx)
	a.asking.Go(func() {
		defer close(f.done)
		f.verdict, f.err = a.fetch(ctx, plane, token)
		a.land(h, f)
	})
	return f
}

func landed(v *verdict, err error) *flight {
	f := &flight{done: make(chan struct{}), verdict: v, err: err}
	close(f.done)
	return f
}

// land keeps what f learned, unless the token was forgotten meanwhile.
func (a *Authenticator) land(h digest, f *flight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.flights[h] != f {
		return
	}
	delete(a.flights, h)
	if f.err == nil {
		a.known.Set(h, f.verdict)
	}
}

// fetch asks the control plane.
func (a *Authenticator) fetch(ctx context.Context, plane string, token Token) (*verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, a.options.Timeout)
	defer cancel()
	asked := time.Now()
	p, err := a.options.Asker.Ask(ctx, plane, token)
	switch {
	case err == nil:
		return &verdict{principal: p, at: asked}, nil
	case errors.Is(err, ErrBadToken):
		return &verdict{at: time.Now()}, nil
	}
	failure, ok := errors.AsType[*UnavailableError](err)
	if !ok {
		failure = &UnavailableError{Plane: plane, Cause: err}
	}
	if failure.Unreached {
		a.pause(plane)
	}
	return nil, failure
}

var (
	errPaused = errors.New("it failed a moment ago")
	errClosed = errors.New("the gateway is stopping")
)

// paused reports as an error that plane failed within downPause, so that a plane that is down costs nobody a wait for its timeout, or that nothing is
// asked any more. The caller holds mu.
func (a *Authenticator) paused(plane string) error {
	if a.closed {
		return &UnavailableError{Plane: plane, Cause: errClosed}
	}
	if wait := time.Until(a.down[plane]); wait > 0 {
		return &UnavailableError{Plane: plane, RetryAfter: max(wait, minRetryAft), Cause: errPaused}
	}
	return nil
}

func (a *Authenticator) pause(plane string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down[plane] = time.Now().Add(downPause)
}
