package auth

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// Guard slows guessing by counting what failed under a key: a client's address, or an address and a token that is known to be bad. It is safe for
// concurrent use.
type Guard interface {
	// Blocked returns how long nothing is to be tried under key; 0: it may be. It never waits.
	Blocked(key string) time.Duration
	// Failed counts one failure under key. It may wait, briefly.
	Failed(ctx context.Context, key string)
}

// GuessingError refuses a caller whose address sent too many tokens that were refused, or
// who repeats one too often. It refuses one refused token a minute before, too, while
// what is left of the control plane's allowance is reserved for other addresses. The
// plane was not asked.
type GuessingError struct {
	RetryAfter time.Duration // when the next may be tried
}

// Error says how long to wait.
func (e *GuessingError) Error() string {
	return fmt.Sprintf("too many refused tokens: the next may be tried in %v", e.RetryAfter)
}

// guarded returns a *[GuessingError] while nothing may be tried under key.
func (a *Authenticator) guarded(key string) error {
	if wait := a.options.Guard.Blocked(key); wait > 0 {
		return &GuessingError{RetryAfter: wait}
	}
	return nil
}

// guards reports whether q's caller is one whose failures count.
func (a *Authenticator) guards(q query) bool { return a.options.Guard != nil && q.address != "" }

// repeated is the key of a token that is known to name no principal: an application that loops with it slows itself and not its neighbors behind the same
// address.
func (q query) repeated() string { return q.address + " " + hex.EncodeToString(q.hash[:8]) }

// approach returns a *[GuessingError] where q's caller may not find out more at present. v is what is known of the token, perhaps nothing: good tokens
// are never kept waiting by what others guess.
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

// repeat answers as v does, which names no principal and is fresh, without asking.
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

// maxCharged bounds the addresses that one asking is charged to; more than that do not wait for one token.
const maxCharged = 64

// charge counts f, which was refused or unclear, against the address of one who waited for it: once for all who came from there, so that an application that
// brings a bad token with a hundred requests at once has failed once.
func (a *Authenticator) charge(ctx context.Context, q query, f *flight) {
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
