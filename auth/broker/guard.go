package broker

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"osgate/auth"
)

// How many refused credentials are remembered, and for how long: for repeatFor to twice
// that, in two maps of at most maxRepeats.
const (
	repeatFor  = 5 * time.Second
	maxRepeats = 1 << 16
)

// guard counts failed identifications as the Authenticator does: a credential that is
// refused counts against its address, and its repetitions against the pair of both, so
// that an application that repeats it in a loop slows itself down, and not other
// clients of the same address.
type guard struct {
	counter auth.Guard // nil: nothing is counted
	seed    maphash.Seed

	repeats *repeats
}

// repeats are the credentials that were refused a short time ago.
type repeats struct {
	mu          sync.Mutex
	now, former map[string]struct{}
	turned      time.Time // when former was replaced
}

func newGuard(counter auth.Guard) guard {
	return guard{counter: counter, seed: maphash.MakeSeed(), repeats: &repeats{}}
}

// attempt is one identification that may fail. The zero attempt is not counted.
type attempt struct {
	guard    *guard
	address  string
	repeated string // the key of the credential at its address
}

// admit returns a *[auth.GuessingError] if a client at an address may not present a
// credential at present.
func (g *guard) admit(credential auth.Credential, address string) (attempt, error) {
	if g.counter == nil || address == "" {
		return attempt{}, nil
	}
	a := attempt{g, address, fmt.Sprintf("%s %016x", address, g.hash(credential))}
	key := address
	if g.repeats.have(a.repeated, time.Now()) {
		key = a.repeated
	}
	if wait := g.counter.Blocked(key); wait > 0 {
		return attempt{}, &auth.GuessingError{RetryAfter: wait}
	}
	return a, nil
}

// failed counts the attempt: the first one with a credential against its address,
// further ones against the pair of both.
func (a attempt) failed(ctx context.Context) {
	if a.guard == nil {
		return
	}
	if a.guard.repeats.add(a.repeated, time.Now()) {
		a.guard.counter.Failed(ctx, a.address)
		return
	}
	a.guard.counter.Failed(ctx, a.repeated)
}

// hash returns a hash of a credential that differs from process to process.
func (g *guard) hash(c auth.Credential) uint64 {
	var h maphash.Hash
	h.SetSeed(g.seed)
	_, _ = h.WriteString(c.Token.Header()) // never fails
	if c.Certificate != nil {
		_, _ = h.Write(c.Certificate.Raw)
	}
	return h.Sum64()
}

// add remembers key and reports whether it was unknown.
func (r *repeats) add(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	if r.knows(key) {
		return false
	}
	if len(r.now) < maxRepeats {
		r.now[key] = struct{}{}
	}
	return true
}

// have reports whether key is remembered.
func (r *repeats) have(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	return r.knows(key)
}

func (r *repeats) knows(key string) bool {
	_, ok := r.now[key]
	if !ok {
		_, ok = r.former[key]
	}
	return ok
}

// turn forgets the keys whose time is over.
func (r *repeats) turn(now time.Time) {
	switch since := now.Sub(r.turned); {
	case since >= 2*repeatFor:
		r.now, r.former, r.turned = map[string]struct{}{}, nil, now
	case since >= repeatFor:
		r.now, r.former, r.turned = map[string]struct{}{}, r.now, now
	}
}
