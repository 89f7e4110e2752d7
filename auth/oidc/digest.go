package oidc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"

	"osgate/auth"
	"osgate/internal/lengthprefix"
)

// digester makes the hashes of tokens that represent their callers elsewhere:
// HMAC-SHA256 (FIPS 198-1).
type digester struct{ key []byte }

// newDigester returns a digester for tokens that are verified by o. Gateways with other
// settings have other hashes: a token that one of them accepts may be refused by
// another.
func newDigester(o *Options) digester {
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
	return digester{mac(secret, settings)}
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
