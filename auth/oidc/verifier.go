package oidc

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/auth"
	"osgate/internal/lengthprefix"
)

// Verifier identifies clients by JWTs. Make it by [New]. It is safe for concurrent use.
type Verifier struct {
	options      Options // without Secret
	digests      digester
	fingerprints *fingerprinter
	issuers      map[string]*issuer // by their URLs
	work         workers
	known        *otter.Cache[fingerprint, *verdict] // tokens that were accepted
	bad          *otter.Cache[fingerprint, *verdict] // tokens that were refused because of a key
}

// New returns a Verifier, or an error for options that cannot work. It sends no
// requests; see [Verifier.Warm].
func New(o Options) (*Verifier, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	v := &Verifier{digests: newDigester(&o), issuers: map[string]*issuer{}}
	o.Secret = nil
	v.options = o
	for _, t := range o.Issuers {
		v.issuers[t.URL] = newIssuer(t, &v.options, &v.work)
	}
	if v.fingerprints, err = newFingerprinter(); err != nil {
		return nil, err
	}
	v.known, err = otter.New(&otter.Options[fingerprint, *verdict]{
		MaximumWeight: o.Bytes, InitialCapacity: 256,
		Weigher: func(_ fingerprint, known *verdict) uint32 { return known.weight() },
	})
	if err != nil {
		return nil, fmt.Errorf("making the cache of tokens: %w", err)
	}
	v.bad, err = otter.New(&otter.Options[fingerprint, *verdict]{MaximumSize: maxBad})
	if err != nil {
		return nil, fmt.Errorf("making the cache of refused tokens: %w", err)
	}
	return v, nil
}

// complete returns o with defaults in place of zero values, or an error for options
// that cannot work.
func (o Options) complete() (Options, error) {
	switch {
	case len(o.Issuers) == 0 || o.Audience == "" || o.Transport == nil:
		return o, errors.New("oidc: an issuer, an audience and a transport are required")
	case o.Leeway < 0 || o.Refresh < 0 || o.UnknownKeyInterval < 0 || o.Timeout < 0:
		return o, errors.New("oidc: no time may be negative")
	case slices.Contains(o.ClientClaims, ""):
		return o, errors.New("oidc: a client claim has no name")
	}
	for i, issuer := range o.Issuers {
		if err := issuer.check(); err != nil {
			return o, err
		}
		if slices.ContainsFunc(o.Issuers[:i], func(other Issuer) bool { return other.URL == issuer.URL }) {
			return o, fmt.Errorf("oidc: issuer %s is listed twice", issuer.URL)
		}
	}
	if len(o.ClientClaims) == 0 {
		o.ClientClaims = []string{"azp", "client_id", "sub"}
	}
	o.Leeway = cmp.Or(o.Leeway, leeway)
	o.Refresh = cmp.Or(o.Refresh, refresh)
	o.UnknownKeyInterval = cmp.Or(o.UnknownKeyInterval, unknownKeyInterval)
	o.Timeout = cmp.Or(o.Timeout, timeout)
	o.Bytes = cmp.Or(o.Bytes, capacity)
	return o, nil
}

func newIssuer(t Issuer, o *Options, w *workers) *issuer {
	is := &issuer{Issuer: t, options: o, work: w}
	is.state = IssuerState{Issuer: t.URL, Reachable: true, Since: time.Now()}
	is.edition.Store(&edition{})
	return is
}

// Known returns the caller of a token that was verified before. It never waits. It
// returns false for a token that must be verified again: it was not verified yet, it
// has expired, its key is no longer published, or the keys are too old.
func (v *Verifier) Known(t auth.Token) (auth.Caller, bool) { return v.recall(v.fingerprints.of(t)) }

func (v *Verifier) recall(f fingerprint) (auth.Caller, bool) {
	known, ok := v.known.GetIfPresent(f)
	now := time.Now()
	if !ok || known.key.ended.Load() || !now.Before(known.caller.Expires) || !known.issuer.usable(now) {
		return auth.Caller{}, false
	}
	return known.caller, true
}

// Verify returns the caller of a token. It waits for keys if there are none yet, or if
// the token's key is not known; the end of one ctx does not end that for others.
// Errors: *[RefusedError], *[auth.UnavailableError], the error of ctx.
func (v *Verifier) Verify(ctx context.Context, t auth.Token) (auth.Caller, error) {
	f := v.fingerprints.of(t)
	if caller, ok := v.recall(f); ok {
		return caller, nil
	}
	now := time.Now()
	jwt, err := parse(t.Text())
	if err != nil {
		return auth.Caller{}, err
	}
	is, ok := v.issuers[jwt.claims.issuer]
	if !ok {
		return auth.Caller{}, refused(ReasonIssuer, "its iss is none of the issuers of this gateway")
	}
	if err := jwt.claims.check(v.options.Audience, now, v.options.Leeway); err != nil {
		return auth.Caller{}, err
	}
	name, err := jwt.claims.client(v.options.ClientClaims)
	if err != nil {
		return auth.Caller{}, err
	}
	k, err := v.prove(ctx, is, jwt, f)
	if err != nil {
		return auth.Caller{}, err
	}
	caller := auth.Caller{
		Name: name, Method: auth.ByJWT, Issuer: is.URL,
		Expires: jwt.claims.expires.Add(v.options.Leeway), Hash: v.digests.of(t),
	}
	v.known.Set(f, &verdict{issuer: is, caller: caller, key: k})
	return caller, nil
}

// prove returns the key that signed t. It remembers a refusal under f.
func (v *Verifier) prove(ctx context.Context, is *issuer, t *token, f fingerprint) (*key, error) {
	now := time.Now()
	if bad, ok := v.bad.GetIfPresent(f); ok && bad.holds(now) {
		return nil, bad.refusal
	}
	k, set, err := is.signer(ctx, t)
	if refusal, ok := errors.AsType[*RefusedError](err); ok {
		until := now.Add(v.options.UnknownKeyInterval)
		if t.mayHaveNewKey(refusal) {
			until = is.nextFetch()
		}
		v.bad.Set(f, &verdict{issuer: is, refusal: refusal, set: set, until: until})
	}
	return k, err
}

// nextFetch returns the time before which tokens cause no fetch.
func (is *issuer) nextFetch() time.Time {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.next
}

// signer returns the key that signed t, and the keys that were tried. It fetches the
// keys again if t may have been signed by a new one. Errors: *[RefusedError],
// *[auth.UnavailableError], the error of ctx.
func (is *issuer) signer(ctx context.Context, t *token) (*key, *keySet, error) {
	set, err := is.keys(ctx)
	if err != nil {
		return nil, nil, err
	}
	k, err := set.signer(t)
	if refusal, ok := errors.AsType[*RefusedError](err); !ok || !t.mayHaveNewKey(refusal) {
		return k, set, err
	}
	newer, failure := is.renew(ctx)
	switch {
	case failure != nil:
		return nil, nil, failure
	case newer == set:
		return nil, set, err
	}
	k, err = newer.signer(t)
	return k, newer, err
}

// mayHaveNewKey reports whether t, for which known keys gave refusal, may have been
// signed by a key that is not known yet.
func (t *token) mayHaveNewKey(refusal *RefusedError) bool {
	return refusal.Reason == ReasonUnknownKey || t.key == ""
}

// Warm starts to fetch the keys of each issuer, so that the first token finds them. It
// does not wait.
func (v *Verifier) Warm() {
	for _, is := range v.issuers {
		is.warm(time.Now())
	}
}

// States returns the state of each issuer, in the order of Options.Issuers.
func (v *Verifier) States() []IssuerState {
	states := make([]IssuerState, 0, len(v.issuers))
	for _, t := range v.options.Issuers {
		states = append(states, v.issuers[t.URL].snapshot(time.Now()))
	}
	return states
}

// Close waits for the fetches under way, each limited by Timeout. Later calls that need
// a fetch return *[auth.UnavailableError].
func (v *Verifier) Close() {
	v.work.mu.Lock()
	v.work.closed = true
	v.work.mu.Unlock()
	v.work.group.Wait()
}

// digester makes the hashes of tokens that represent their callers elsewhere:
// HMAC-SHA256 (FIPS 198-1).
type digester struct{ key []byte }

// newDigester returns a digester for tokens that are verified by o. Gateways with other
// settings have other hashes: a token that one of them accepts may be refused by
// another.
func newDigester(o *Options) digester {
	settings := lengthprefix.Append([]byte(auth.ByJWT), o.Audience)
	for _, t := range o.Issuers {
		settings = lengthprefix.Append(lengthprefix.Append(settings, t.URL), t.JWKS)
	}
	settings = lengthprefix.Append(settings, "claims")
	for _, name := range o.ClientClaims {
		settings = lengthprefix.Append(settings, name)
	}
	return digester{mac(auth.HashKey(o.Secret), settings)}
}

// of returns the hash of a token.
func (d digester) of(t auth.Token) [sha256.Size]byte {
	return [sha256.Size]byte(mac(d.key, []byte(t.Text())))
}

func mac(key, text []byte) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write(text) // never fails (hash.Hash)
	return m.Sum(nil)
}

// fingerprint finds a token in memory. It is a third of the work of a [digester] hash.
type fingerprint [16]byte

// fingerprinter makes fingerprints: tags of AES-GCM without a plaintext (GMAC, NIST SP
// 800-38D) under a random key. Its nonce is always the same, which is safe only because
// a fingerprint never leaves the process. Two texts of at most 4096 bytes that were
// chosen without knowledge of a fingerprint have the same one with a probability below
// 2^-119 (there, appendix B). It is safe for concurrent use.
type fingerprinter struct {
	tags    cipher.AEAD
	buffers sync.Pool // of *[]byte, because the text of a token is a string
}

func newFingerprinter() (*fingerprinter, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	tags, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	return &fingerprinter{tags, sync.Pool{New: func() any { return new([]byte) }}}, nil
}

// of returns the fingerprint of a token.
func (f *fingerprinter) of(t auth.Token) (found fingerprint) {
	buf, _ := f.buffers.Get().(*[]byte)
	const nonce, tag = 12, len(found)
	var zero [nonce + tag]byte
	*buf = append(append((*buf)[:0], zero[:]...), t.Text()...)
	text := (*buf)[nonce+tag:]
	f.tags.Seal((*buf)[nonce:nonce], (*buf)[:nonce], nil, text)
	copy(found[:], (*buf)[nonce:])
	clear(*buf)
	f.buffers.Put(buf)
	return found
}

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
