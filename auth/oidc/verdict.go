package oidc

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"
	"time"

	"osgate/auth"
	"osgate/internal/lengthprefix"
)

// verdict is what is remembered of a token: a caller with the key that proves it, or a
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

// digest identifies a token in memory: HMAC-SHA256 (FIPS 198-1) of the settings and the
// token.
type digest = [sha256.Size]byte

// digester makes digests. It is safe for concurrent use.
type digester struct{ macs sync.Pool }

// mac is a keyed hash with a buffer for its input and output. Without the buffer each
// call would allocate, because the bytes are passed to an interface.
type mac struct {
	hash.Hash
	buf []byte
}

// newDigester returns a digester for tokens that are verified by o. Gateways with other
// settings have other digests: a token that one of them accepts may be refused by
// another.
func newDigester(o Options) *digester {
	secret := o.Secret
	if len(secret) == 0 {
		secret = make([]byte, sha256.Size)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
	}
	settings := lengthprefix.Append([]byte(auth.ByJWT), o.Audience)
	for _, t := range o.Issuers {
		settings = lengthprefix.Append(lengthprefix.Append(settings, t.URL), t.JWKS)
	}
	settings = lengthprefix.Append(settings, "claims")
	for _, name := range o.ClientClaims {
		settings = lengthprefix.Append(settings, name)
	}
	derive := hmac.New(sha256.New, secret)
	_, _ = derive.Write(settings) // never fails (hash.Hash)
	key := derive.Sum(nil)
	return &digester{sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
}

// of returns the digest of token.
func (d *digester) of(t auth.Token) (h digest) {
	m, _ := d.macs.Get().(*mac)
	m.buf = append(m.buf[:0], t.Text()...)
	m.Reset()
	_, _ = m.Write(m.buf) // never fails (hash.Hash)
	clear(m.buf)
	m.buf = m.Sum(m.buf[:0])
	copy(h[:], m.buf)
	d.macs.Put(m)
	return h
}
