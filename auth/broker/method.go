package broker

import (
	"context"

	"osgate/auth"
)

// Method is a way to identify callers without an Anypoint credential. It is safe for
// concurrent use.
type Method interface {
	// Recognizes reports whether a credential has the form that this method identifies.
	// It does not wait.
	Recognizes(credential auth.Credential) bool
	// Known returns the caller of a credential that was identified before and is still
	// good. It does not wait.
	Known(credential auth.Credential) (auth.Caller, bool)
	// Identify returns the caller of a credential. Errors: one that wraps
	// [auth.ErrBadToken] refuses the credential and counts as a failure of the client;
	// an *[auth.UnavailableError] decides nothing.
	Identify(ctx context.Context, credential auth.Credential) (auth.Caller, error)
}

// TokenVerifier verifies bearer tokens. Its methods are those of [Method] for a token.
type TokenVerifier interface {
	Recognizes(token auth.Token) bool
	Known(token auth.Token) (auth.Caller, bool)
	Verify(ctx context.Context, token auth.Token) (auth.Caller, error)
}

// Bearer returns the Method that identifies bearer tokens by v.
func Bearer(v TokenVerifier) Method { return bearer{v} }

type bearer struct{ verifier TokenVerifier }

// Recognizes implements [Method].
func (b bearer) Recognizes(c auth.Credential) bool { return b.verifier.Recognizes(c.Token) }

// Known implements [Method].
func (b bearer) Known(c auth.Credential) (auth.Caller, bool) { return b.verifier.Known(c.Token) }

// Identify implements [Method].
func (b bearer) Identify(ctx context.Context, c auth.Credential) (auth.Caller, error) {
	return b.verifier.Verify(ctx, c.Token) //nolint:wrapcheck // the verifier's own words
}
