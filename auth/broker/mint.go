package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/internal/flight"
)

// mint is one request for a token, for all callers that wait for it.
type mint = flight.Flight[outcome]

// outcome is the result of a mint.
type outcome struct {
	token auth.Token
	err   error
}

// start starts a mint, which has its own deadline and continues after its caller's ctx
// ends. The caller holds mu.
func (t *Tokens) start(ctx context.Context, p *plane) {
	f := flight.New[outcome]()
	p.mint = f
	if h := p.held.Load(); h != nil {
		h.renewal.Store(never)
	}
	ctx = context.WithoutCancel(ctx)
	t.background.Go(func() {
		f.Land(t.run(ctx, p))
		t.notify()
	})
}

// run reads the secret and mints a token with it, unless that secret was refused a
// short time ago.
func (t *Tokens) run(ctx context.Context, p *plane) outcome {
	secret, err := t.options.Secret()
	if err != nil {
		err = &CredentialError{Plane: p.name, Cause: fmt.Errorf("reading the client secret: %w", err)}
		return t.finish(p, func(now time.Time) error { return p.unread(err, now) })
	}
	sum := sha256.Sum256([]byte(secret))
	if again, ok := t.refusedAgain(p, sum); ok {
		return again
	}
	ctx, cancel := context.WithTimeout(ctx, t.options.Timeout)
	defer cancel()
	began := time.Now()
	m, err := t.minter.Mint(ctx, p.name, secret)
	return t.finish(p, func(now time.Time) error { return p.settle(m, sum, began, err, now) })
}

// refusedAgain ends a mint whose secret is the one that was refused. It reports whether
// it did.
func (t *Tokens) refusedAgain(p *plane, sum [sha256.Size]byte) (outcome, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if p.permits(sum, now) {
		return outcome{}, false
	}
	p.lookAt = now.Add(lookDelay)
	p.mint = nil
	t.again(p, now)
	return outcome{err: retryIn(p.failure, p.wait(now))}, true
}

// finish ends the mint of p: settle records its result and returns its error.
func (t *Tokens) finish(p *plane, settle func(now time.Time) error) outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	err := settle(now)
	p.mint = nil
	t.note(p)
	if err != nil {
		t.again(p, now)
		return outcome{err: retryIn(err, p.wait(now))}
	}
	return outcome{token: p.held.Load().token}
}

// settle records the result of a mint that began at the given time with the secret of
// this hash, and returns its error.
func (p *plane) settle(m auth.Minted, secret [sha256.Size]byte, began time.Time, err error, now time.Time) error {
	p.secretBad = false
	switch failure, ok := errors.AsType[*auth.UnavailableError](err); {
	case err == nil:
		p.succeed(newHeld(m, began))
	case ok:
		p.fail(err, maxUnavailableDelay, failure.RetryAfter, now)
	default:
		err = &CredentialError{Plane: p.name, Cause: err}
		p.secretBad, p.badSecret, p.lookAt = true, secret, now.Add(lookDelay)
		p.fail(err, maxRefusedDelay, 0, now)
	}
	return err
}

// unread records that the secret could not be read, and returns err.
func (p *plane) unread(err error, now time.Time) error {
	p.secretBad = false
	p.fail(err, maxUnavailableDelay, 0, now)
	return err
}

// again starts a mint when one is due, so that a plane recovers without a request. The
// caller holds mu.
func (t *Tokens) again(p *plane, now time.Time) {
	if t.closed {
		return
	}
	if p.retry == nil {
		p.retry = time.AfterFunc(p.wait(now), func() { t.retry(p) })
		return
	}
	p.retry.Reset(p.wait(now))
}

// retry starts a mint if the latest failed and no other is under way.
func (t *Tokens) retry(p *plane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.failure != nil && p.mint == nil && !t.closed && p.due(time.Now()) {
		t.start(context.Background(), p) //nolint:forbidigo // no caller waits; a mint has its own deadline
	}
}

// plane is the state of the gateway's credential on a plane. The lock of Tokens guards
// it, except held.
type plane struct {
	name string
	held atomic.Pointer[held] // the token in use; nil: none

	mint     *mint     // under way; nil: none
	failures int       // mints in a row that failed
	failure  error     // of the latest mint; nil: it succeeded
	retryAt  time.Time // no mint before this time, except with a new secret

	badSecret [sha256.Size]byte // hash of the secret that the endpoint refused
	secretBad bool              // the latest failure refused badSecret
	lookAt    time.Time         // when the secret is read again

	refusals  int       // tokens in a row that upstream refused
	refusedAt time.Time // when it refused the latest
	refused   bool      // a new token was refused, and none accepted since
	forbidden places    // where upstream refused operations
	retry     *time.Timer
	reminder  *time.Timer // of the first end in forbidden
	state     State       // as reported to OnChange
}

// held is a token in use.
type held struct {
	token    auth.Token
	at       time.Time     // when its mint began
	life     time.Duration // counted from at
	renewal  atomic.Int64  // age in nanoseconds at which the next use starts a mint
	accepted atomic.Bool   // upstream accepted it
}

// never is the renewal of a token whose renewal has begun: if it fails, a timer repeats
// it.
const never = math.MaxInt64

// newHeld returns the token of a mint that began at the given time.
func newHeld(m auth.Minted, at time.Time) *held {
	h := &held{token: m.Token, at: at, life: m.Life}
	if h.life == 0 {
		h.life = defaultLife
	}
	hundredth := int64(h.life / 100)
	part := renewFrom + rand.Int64N(renewTo-renewFrom+1) //nolint:gosec // spreads load, guards nothing
	h.renewal.Store(hundredth * part)
	return h
}

// fresh reports whether h, which may be nil, may be used.
func (h *held) fresh(now time.Time) bool { return h != nil && now.Sub(h.at) < h.life }

// wait returns the time until the next mint, or until the secret is read again.
func (p *plane) wait(now time.Time) time.Duration {
	at := p.retryAt
	if p.secretBad && p.lookAt.Before(at) {
		at = p.lookAt
	}
	return max(0, at.Sub(now))
}

// due reports whether a mint may be sent, or the secret read again.
func (p *plane) due(now time.Time) bool { return p.wait(now) == 0 }

// permits reports whether a mint with the secret of this hash may be sent. It is false
// for a secret that was refused, before its retry.
func (p *plane) permits(secret [sha256.Size]byte, now time.Time) bool {
	return !now.Before(p.retryAt) || p.secretBad && secret != p.badSecret
}

// succeed stores a token.
func (p *plane) succeed(h *held) {
	p.held.Store(h)
	p.failures, p.failure, p.secretBad, p.retryAt = 0, nil, false, time.Time{}
}

// fail records why there is no token, and when the next mint is due.
func (p *plane) fail(err error, longest, atLeast time.Duration, now time.Time) {
	p.failure = err
	p.failures++
	p.retryAt = now.Add(max(delay(p.failures, longest), atLeast))
}

// delay returns the time after the given number of failures in a row, with a little
// jitter, so that several gateways do not retry at the same time.
func delay(failures int, longest time.Duration) time.Duration {
	d := min(minDelay<<min(failures-1, 16), longest)
	return d - rand.N(d/10) //nolint:gosec // spreads load, guards nothing
}
