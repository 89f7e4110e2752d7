package broker

import (
	"context"
	"errors"
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

// Recall returns what this process knows about a credential on plane, and never waits.
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
