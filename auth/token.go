package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"osgate/internal/lengthprefix"
)

// Errors of identification. With any of them, the gateway must not answer or forward
// the request in the caller's name.
var (
	// ErrNoToken is a request without a bearer token: none at all, or another scheme.
	ErrNoToken = errors.New("no bearer token")
	// ErrBadToken is a token that is malformed, or that the control plane refuses.
	ErrBadToken = errors.New("bearer token refused")
	// ErrManyTokens is a request with more than one Authorization header: a server that
	// reads the first and one that reads the last would identify different callers.
	ErrManyTokens = errors.New("more than one Authorization header")
)

// maxToken limits a token in bytes. Anypoint's tokens are UUIDs of 36 bytes today, but
// their length is not documented.
const maxToken = 4096

// redacted is printed in place of a token or a secret.
const redacted = "[redacted]"

// Token is a bearer token. It prints as "[redacted]" everywhere; only [Token.Header]
// and [Token.Text] reveal it. The zero Token is none.
type Token struct {
	_ [0]func() // no ==: it would compare addresses
	// A pointer, because fmt does not call methods on an unexported field of another
	// struct: for a pointer it then prints an address.
	text *string
}

// NewToken returns a token with the given text, which it does not check.
func NewToken(text string) Token { return Token{text: &text} }

// Text returns the token itself; empty for the zero Token. A package uses it to
// read or hash the token, and must neither print nor store it.
func (t Token) Text() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// Header returns the value of an Authorization header that carries t.
func (t Token) Header() string { return "Bearer " + t.Text() }

// IsZero reports whether t is none.
func (t Token) IsZero() bool { return t.Text() == "" }

// Equal reports whether t and u have the same text.
func (t Token) Equal(u Token) bool {
	return subtle.ConstantTimeCompare([]byte(t.Text()), []byte(u.Text())) == 1
}

// String implements [fmt.Stringer] without revealing the token.
func (t Token) String() string { return redacted }

// GoString implements [fmt.GoStringer] without revealing the token.
func (t Token) GoString() string { return redacted }

// Format implements [fmt.Formatter] without revealing the token, for every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer] without revealing the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] without revealing the token.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ReadToken returns the bearer token (RFC 6750 section 2.1) in a request's header. The
// scheme may be in any case. Errors: [ErrNoToken], [ErrBadToken] for a token that is
// longer than 4096 bytes or contains anything but visible ASCII, [ErrManyTokens].
func ReadToken(h http.Header) (Token, error) {
	values := h["Authorization"]
	switch {
	case len(values) == 0:
		return Token{}, ErrNoToken
	case len(values) > 1:
		return Token{}, ErrManyTokens
	}
	scheme, text, _ := strings.Cut(strings.TrimLeft(values[0], " \t"), " ")
	text = strings.Trim(text, " \t")
	switch {
	case !strings.EqualFold(scheme, "bearer") || text == "":
		return Token{}, ErrNoToken
	case len(text) > maxToken:
		return Token{}, fmt.Errorf("%w: too-large: it is longer than %d bytes", ErrBadToken, maxToken)
	case !isToken(text):
		return Token{}, fmt.Errorf("%w: malformed: it contains a character that is not visible ASCII", ErrBadToken)
	}
	return NewToken(text), nil
}

// isToken reports whether text can be a bearer token of Anypoint.
func isToken(text string) bool {
	return text != "" && len(text) <= maxToken && !strings.ContainsFunc(text, invisible)
}

func invisible(r rune) bool { return r <= ' ' || r > '~' }

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
