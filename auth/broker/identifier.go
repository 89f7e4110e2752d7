package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"osgate/auth"
)

// Credentials are the gateway's own tokens. *[Tokens] implements it.
type Credentials interface {
	Token(ctx context.Context, plane string) (auth.Token, error)
	Refused(plane string, token auth.Token)
}

// Directory finds the principal of an Anypoint token. *[auth.Authenticator] implements
// it.
type Directory interface {
	Identify(ctx context.Context, plane string, token auth.Token, address string) (auth.Identity, error)
}

// IdentifierOptions configure an [Identifier]. All but Guard are required.
type IdentifierOptions struct {
	// Methods in the order in which they are tried. A nil Method is Anypoint's: it
	// recognizes the bearer tokens that no other Method recognizes, and the Identifier
	// leaves them to the Authenticator.
	Methods   []Method
	Tokens    Credentials
	Directory Directory
	Guard     auth.Guard // slows guessing; nil: no limit
}

// Identifier identifies clients by a list of methods. The first method that recognizes
// a credential decides, and its refusal is final. It is safe for concurrent use.
type Identifier struct {
	methods  []Method
	anypoint bool // one of methods is nil
	homes    homes
	guard    guard
}

// NewIdentifier returns an Identifier, or an error for options that cannot work.
func NewIdentifier(o IdentifierOptions) (*Identifier, error) {
	if len(o.Methods) == 0 || o.Tokens == nil || o.Directory == nil {
		return nil, errors.New("broker: invalid options: Methods, Tokens and Directory are required")
	}
	i := &Identifier{methods: o.Methods, guard: newGuard(o.Guard)}
	for _, m := range o.Methods {
		i.anypoint = i.anypoint || m == nil
	}
	i.homes.open(o.Tokens, o.Directory)
	return i, nil
}

func (s *homes) open(tokens Credentials, directory Directory) {
	s.tokens, s.directory = tokens, directory
	s.planes.Store(&map[string]*homePlane{})
}

// Recall returns the remembered identity of a credential on plane, and never waits.
// The Identity is valid if the TokenState is [auth.Fresh]. [auth.Stale] is a known
// caller on a plane whose control plane has not named the gateway's organizations yet.
// If handled is false, the credential is the Authenticator's to identify. An address
// is, as in [auth.Authenticator.Identify], the key under which failures are counted.
func (i *Identifier) Recall(
	ctx context.Context, plane string, credential auth.Credential, _ string,
) (id auth.Identity, state auth.TokenState, handled bool) {
	m, handled := i.choose(credential)
	if m == nil {
		return auth.Identity{}, auth.Unknown, handled
	}
	now := time.Now()
	caller, ok := m.Known(credential)
	if !ok || !usable(&caller, now) {
		return auth.Identity{}, auth.Unknown, true
	}
	home := i.homes.known(ctx, plane, now)
	if home == nil {
		return auth.Identity{Hash: caller.Hash}, auth.Stale, true
	}
	return identity(plane, &caller, home), auth.Fresh, true
}

// Identify returns the identity of a credential for which Recall's handled is true. It
// may wait for an issuer or a control plane, until ctx ends. Errors: [auth.ErrNoToken]
// if there is no credential, errors that wrap [auth.ErrBadToken],
// *[auth.GuessingError], *[auth.UnavailableError], *[CredentialError], the error of
// ctx.
func (i *Identifier) Identify(
	ctx context.Context, plane string, credential auth.Credential, address string,
) (auth.Identity, error) {
	m, _ := i.choose(credential)
	caller, err := i.caller(ctx, m, credential, address)
	if err != nil {
		return auth.Identity{Hash: caller.Hash}, err
	}
	home := i.homes.known(ctx, plane, time.Now())
	if home == nil {
		if home, err = i.homes.find(ctx, plane); err != nil {
			return auth.Identity{Hash: caller.Hash}, err
		}
	}
	return identity(plane, &caller, home), nil
}

// Close waits for the lookups of organizations under way. The Tokens and the Directory
// must be closed after it.
func (i *Identifier) Close() { i.homes.close() }

func (s *homes) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.background.Wait()
}

// choose returns the method that identifies a credential; nil if none does. If handled
// is false, the credential is the Authenticator's.
func (i *Identifier) choose(credential auth.Credential) (m Method, handled bool) {
	for _, m := range i.methods {
		switch {
		case m == nil && !credential.Token.IsZero() && !i.claimed(credential.Token):
			return nil, false
		case m != nil && m.Recognizes(credential):
			return m, true
		}
	}
	return nil, !i.anypoint
}

// claimed reports whether a method recognizes a bearer token alone.
func (i *Identifier) claimed(token auth.Token) bool {
	for _, m := range i.methods {
		if m != nil && m.Recognizes(auth.Credential{Token: token}) {
			return true
		}
	}
	return false
}

// caller returns the caller of a credential. Known callers do not wait because of
// guessing.
func (i *Identifier) caller(
	ctx context.Context, m Method, credential auth.Credential, address string,
) (auth.Caller, error) {
	if m != nil {
		if caller, ok := m.Known(credential); ok && usable(&caller, time.Now()) {
			return caller, nil
		}
	}
	if m == nil && credential.Token.IsZero() {
		return auth.Caller{}, auth.ErrNoToken
	}
	attempt, err := i.guard.admit(credential, address)
	if err != nil {
		return auth.Caller{}, err
	}
	caller, err := identifyBy(ctx, m, credential)
	if errors.Is(err, auth.ErrBadToken) {
		attempt.failed(ctx)
	}
	return caller, err
}

// identifyBy identifies a credential by m; nil: no method recognizes it.
func identifyBy(ctx context.Context, m Method, credential auth.Credential) (auth.Caller, error) {
	if m == nil {
		return auth.Caller{}, auth.ErrBadToken
	}
	caller, err := m.Identify(ctx, credential)
	if err != nil {
		return auth.Caller{}, err //nolint:wrapcheck // the method's own words
	}
	if !usable(&caller, time.Now()) {
		return auth.Caller{}, auth.ErrBadToken
	}
	return caller, nil
}

// usable reports whether c has a name and has not ended.
func usable(c *auth.Caller, now time.Time) bool { return c.Name != "" && now.Before(c.Expires) }

// identity returns the identity of a caller. Its principal is not cached: it is one
// allocation, which a cache would cost as well.
func identity(plane string, c *auth.Caller, h *home) auth.Identity {
	return auth.Identity{
		Principal: &auth.Principal{
			Plane: plane, Client: c.Name, Organizations: h.organizations, Trees: h.trees,
			Expires: c.Expires, Method: c.Method, Issuer: c.Issuer,
		},
		Hash: c.Hash,
	}
}

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

// turn forgets the keys that have expired.
func (r *repeats) turn(now time.Time) {
	switch since := now.Sub(r.turned); {
	case since >= 2*repeatFor:
		r.now, r.former, r.turned = map[string]struct{}{}, nil, now
	case since >= repeatFor:
		r.now, r.former, r.turned = map[string]struct{}{}, r.now, now
	}
}
