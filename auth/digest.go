package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// digest stands for a token of a plane, in memory and in Redis: HMAC-SHA256 of both (FIPS 198-1).
type digest = [sha256.Size]byte

// digester makes digests. It is safe for concurrent use.
type digester struct{ macs sync.Pool }

// mac is a keyed hash with room for what goes in and comes out: what is handed to an interface would be allocated each time.
type mac struct {
	hash.Hash
	room []byte
}

func newDigester(secret []byte) *digester {
	return &digester{macs: sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, secret)} }}}
}

// of returns the digest of token, bound to its plane: a token of one plane says nothing on another. The length before the plane's name keeps two pairs
// of the same letters apart.
func (d *digester) of(plane string, token Token) (h digest) {
	m, _ := d.macs.Get().(*mac)
	m.room = append(m.room[:0], byte(len(plane)))
	m.room = append(m.room, plane...)
	m.room = append(m.room, token.reveal()...)
	m.Reset()
	_, _ = m.Write(m.room) // never fails (hash.Hash)
	clear(m.room)
	m.room = m.Sum(m.room[:0])
	copy(h[:], m.room)
	d.macs.Put(m)
	return h
}
