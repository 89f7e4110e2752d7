package oidc

import (
	"time"

	"osgate/auth"
)

// verdict is the result for one token: a caller with the key that proves it, or a
// refusal with the keys that were tried.
type verdict struct {
	issuer *issuer

	caller auth.Caller
	key    *key // nil for a refusal

	refusal *RefusedError
	set     *keySet
	until   time.Time // of a refusal
}

// maxBad limits the number of refusals that are remembered.
const maxBad = 4096

// holds reports whether a refusal is still certain: no other keys of its issuer are
// known, and a token causes no fetch of them yet.
func (v *verdict) holds(now time.Time) bool {
	return v.issuer.edition.Load().set == v.set && now.Before(v.until)
}

// weight returns the approximate size in bytes, with the entry in the cache.
func (v *verdict) weight() uint32 {
	const entry = 480 // key, verdict, and the cache's own node and table
	return uint32(entry + len(v.caller.Name))
}
