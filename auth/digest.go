package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"maps"
	"sync"
	"sync/atomic"

	"osgate/internal/lengthprefix"
)

// HashKey returns the key of the hashes that represent credentials: secret, or a random
// key if that is empty, so that nobody who sees a hash can search for its credential.
// Without a secret, each process has other hashes.
func HashKey(secret []byte) []byte {
	if len(secret) > 0 {
		return secret
	}
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return key
}

// digest identifies a token of a plane, in memory and in Redis: HMAC-SHA256 (FIPS
// 198-1) of the plane, the validator and the token.
type digest = [sha256.Size]byte

// maxScopes limits the number of planes with a cached scope; there are five planes.
const maxScopes = 64

// digester makes digests. It is safe for concurrent use.
type digester struct {
	validator func(plane string) string
	macs      sync.Pool
	scopes    atomic.Pointer[map[string]string] // plane -> text hashed before the token; replaced as a whole
}

// mac is a keyed hash with a buffer for its input and output. Without the buffer each
// call would allocate, because the bytes are passed to an interface.
type mac struct {
	hash.Hash
	buf []byte
}

func newDigester(secret []byte, validator func(plane string) string) *digester {
	d := &digester{
		validator: validator,
		macs:      sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, secret)} }},
	}
	d.scopes.Store(&map[string]string{})
	return d
}

// of returns the digest of token, bound to its plane and its validator: a token of one
// plane is not valid on another, and a token that one validator accepts may be refused
// by another (compare Oathkeeper's GHSA-4mq7-pvjg-xp2r, where a cache's key lacked the
// introspection URL).
func (d *digester) of(plane string, token Token) (h digest) {
	m, _ := d.macs.Get().(*mac)
	m.buf = append(m.buf[:0], d.scope(plane)...)
	m.buf = append(m.buf, token.Text()...)
	m.Reset()
	_, _ = m.Write(m.buf) // never fails (hash.Hash)
	clear(m.buf)
	m.buf = m.Sum(m.buf[:0])
	copy(h[:], m.buf)
	d.macs.Put(m)
	return h
}

// scope returns the names of plane and validator. Each is preceded by its length, so
// that different pairs give different texts.
func (d *digester) scope(plane string) string {
	known := d.scopes.Load()
	if scope, ok := (*known)[plane]; ok {
		return scope
	}
	var text []byte
	for _, name := range []string{plane, d.validator(plane)} {
		text = lengthprefix.Append(text, name)
	}
	if len(*known) < maxScopes {
		more := maps.Clone(*known)
		more[plane] = string(text)
		d.scopes.CompareAndSwap(known, &more) // if it fails, the next token tries again
	}
	return string(text)
}
