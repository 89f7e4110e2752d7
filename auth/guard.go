package auth

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// Guard slows guessing. It counts failures under a key: a client's address, or an
// address and a token that is known to be bad. It is safe for concurrent use.
type Guard interface {
	// Blocked returns for how long attempts under key are refused; 0: they are allowed.
	// It never waits.
	Blocked(key string) time.Duration
	// Failed counts one failure under key. It may wait, briefly.
	Failed(ctx context.Context, key string)
}

// GuessingError refuses a caller whose address sent too many tokens that were refused,
// or that repeats one too often. It also refuses an address that sent a refused token
// within the last minute or two, while the rest of the control plane's allowance is
// reserved for other addresses. No lookup was sent.
type GuessingError struct {
	RetryAfter time.Duration // until the next attempt
}

// Error states how long to wait.
func (e *GuessingError) Error() string {
	return fmt.Sprintf("too many refused tokens: retry after %v", e.RetryAfter)
}

// guarded returns a *[GuessingError] while attempts under key are refused.
func (a *Authenticator) guarded(key string) error {
	if wait := a.options.Guard.Blocked(key); wait > 0 {
		return &GuessingError{RetryAfter: wait}
	}
	return nil
}

// guards reports whether failures of q's caller are counted.
func (a *Authenticator) guards(q query) bool { return a.options.Guard != nil && q.address != "" }

// repeated returns the key of a refused token at one address: an application that
// repeats it in a loop slows itself down, and not other clients of the same address.
func (q query) repeated() string { return q.address + " " + hex.EncodeToString(q.hash[:8]) }

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

// repeat returns the error of v, which is fresh and names no principal, without a
// lookup.
func (a *Authenticator) repeat(ctx context.Context, q query, v *verdict) error {
	err := v.err(time.Now())
	if !a.guards(q) {
		return err
	}
	if blocked := a.guarded(q.repeated()); blocked != nil {
		return blocked
	}
	a.options.Guard.Failed(ctx, q.repeated())
	return err
}

// maxCharged limits the addresses that one lookup is charged to; more do not wait for
// one token.
const maxCharged = 64

// charge counts f, which was refused or unclear, against the address of one caller that
// waited for it. It counts once for each address, so that an application that sends a
// bad token in a hundred concurrent requests has failed once.
func (a *Authenticator) charge(ctx context.Context, q query, f *lookupFlight) {
	if !a.guards(q) {
		return
	}
	a.mu.Lock()
	first := !f.charged[q.address] && len(f.charged) < maxCharged
	if first {
		if f.charged == nil {
			f.charged = map[string]bool{}
		}
		a.suspects.note(q.address, time.Now())
		f.charged[q.address] = true
	}
	a.mu.Unlock()
	if first {
		a.options.Guard.Failed(ctx, q.address)
		return
	}
	a.options.Guard.Failed(ctx, q.repeated())
}
