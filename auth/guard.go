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

// How many addresses are remembered as suspects, and for how long: for suspectFor to
// twice that, in two maps of at most maxSuspects.
const (
	suspectFor  = time.Minute
	maxSuspects = 1 << 16
)

// suspects are the addresses of clients that sent a token which the control plane
// refused a short time ago. The Authenticator's lock guards it.
type suspects struct {
	now, former map[string]struct{}
	turned      time.Time // when former was replaced
}

// note remembers an address.
func (s *suspects) note(address string, now time.Time) {
	s.turn(now)
	if s.now == nil {
		s.now = map[string]struct{}{}
	}
	if len(s.now) < maxSuspects {
		s.now[address] = struct{}{}
	}
}

// have reports whether an address is remembered.
func (s *suspects) have(address string, now time.Time) bool {
	s.turn(now)
	_, ok := s.now[address]
	if !ok {
		_, ok = s.former[address]
	}
	return ok
}

// turn forgets the addresses whose time is over.
func (s *suspects) turn(now time.Time) {
	switch since := now.Sub(s.turned); {
	case since >= 2*suspectFor:
		s.now, s.former, s.turned = nil, nil, now
	case since >= suspectFor:
		s.now, s.former, s.turned = nil, s.now, now
	}
}
