package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
