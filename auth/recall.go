package auth

import (
	"context"
	"time"
)

// TokenState is the knowledge of this process about a token.
type TokenState int

const (
	// Unknown is a token that is new, refused, or was confirmed too long ago.
	Unknown TokenState = iota
	// Stale is a token that its control plane has confirmed, but whose identity has
	// ended. It lasts as long as the token may be forwarded while the control plane is
	// down.
	Stale
	// Fresh is a token whose identity is valid now.
	Fresh
)

// Recall returns the state of token on plane, and never waits. The Identity is valid if
// the TokenState is [Fresh]. It then counts as an identification, and may start a
// renewal ahead of the identity's end, as [Authenticator.Identify] does. Safe for
// concurrent use.
func (a *Authenticator) Recall(ctx context.Context, plane string, token Token, address string) (Identity, TokenState) {
	q := query{plane, token, a.digests.of(plane, token), address}
	v, _ := a.known.GetIfPresent(q.hash)
	return a.recall(ctx, q, v)
}

// recall is Recall where v, which may be nil, is the known verdict.
func (a *Authenticator) recall(ctx context.Context, q query, v *verdict) (Identity, TokenState) {
	if v == nil || v.principal == nil {
		return Identity{Hash: q.hash}, Unknown
	}
	age := time.Since(v.at)
	switch {
	case age < v.life:
		if v.claim(age) {
			a.renew(ctx, q)
		}
		a.counts.known.Add(1)
		return Identity{Principal: v.principal, Hash: q.hash, Age: age}, Fresh
	case age < v.end:
		return Identity{Hash: q.hash}, Stale
	}
	return Identity{Hash: q.hash}, Unknown
}
