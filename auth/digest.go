package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"sync"
	"sync/atomic"
)

// digest stands for a token of a plane, in memory and in Redis: HMAC-SHA256 (FIPS 198-1) of the plane, the validator and the token.
type digest = [sha256.Size]byte

// maxScopes bounds how many planes' scopes are remembered; there are five planes.
const maxScopes = 64

// digester makes digests. It is safe for concurrent use.
type digester struct {
	validator func(plane string) string
	macs      sync.Pool
	scopes    atomic.Pointer[map[string]string] // plane -> what comes before the token; swapped whole
}

// mac is a keyed hash with room for what goes in and comes out: what is handed to an interface would be allocated each time.
type mac struct {
	hash.Hash
	buf []byte
}

func newDigester(secret []byte, validator func(plane string) string) *digester {
	d := &digester{validator: validator, macs: sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, secret)} }}}
	d.scopes.Store(&map[string]string{})
	return d
}

// of returns the digest of token, bound to its plane and to who answers for it: a token of one plane says nothing on another, and what one validator
// accepts another may not (as in Oathkeeper's GHSA-4mq7-pvjg-xp2r, where a cache's key lacked the introspection URL).
func (d *digester) of(plane string, token Token) (h digest) {
	m, _ := d.macs.Get().(*mac)
	m.buf = append(m.buf[:0], d.scope(plane)...)
	m.buf = append(m.buf, token.reveal()...)
	m.Reset()
	_, _ = m.Write(m.buf) // never fails (hash.Hash)
	clear(m.buf)
	m.buf = m.Sum(m.buf[:0])
	copy(h[:], m.buf)
	d.macs.Put(m)
	return h
}

// scope returns the names of plane and validator. The lengths before them keep two pairs of the same letters apart.
func (d *digester) scope(plane string) string {
	known := d.scopes.Load()
	if scope, ok := (*known)[plane]; ok {
		return scope
	}
	var text []byte
	for _, name := range []string{plane, d.validator(plane)} {
		text = binary.AppendUvarint(text, uint64(len(name)))
		text = append(text, name...)
	}
	if len(*known) < maxScopes {
		more := maps.Clone(*known)
		more[plane] = string(text)
		d.scopes.CompareAndSwap(known, &more) // who loses tries again with the next token
	}
	return string(text)
}
