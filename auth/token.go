package auth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// Errors of identification. All of them mean that nothing may be answered or forwarded in the caller's name.
var (
	// ErrNoToken is a request without a bearer token: none at all, or another scheme.
	ErrNoToken = errors.New("no bearer token")
	// ErrBadToken is a token that cannot be one, or that the control plane refuses.
	ErrBadToken = errors.New("bearer token refused")
	// ErrManyTokens is a request with more than one Authorization header: whoever reads the first and whoever reads the last would see
	// different callers.
	ErrManyTokens = errors.New("more than one Authorization header")
)

// maxToken bounds a token in bytes. Anypoint's are UUIDs of 36; nothing says they stay so.
const maxToken = 4096

// redacted stands wherever a token or a secret would be printed.
const redacted = "[redacted]"

// Token is a bearer token. It prints as "[redacted]" everywhere; only [Token.Header] gives it away. The zero Token is none.
type Token struct {
	_ [0]func() // no ==: it would compare addresses
	// A pointer, because fmt does not call methods on another struct's unexported field: it then prints an address.
	text *string
}

// NewToken wraps a token received from a mint. It does not check it.
func NewToken(text string) Token { return Token{text: &text} }

func (t Token) reveal() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// Header returns the value of an Authorization header that carries t.
func (t Token) Header() string { return "Bearer " + t.reveal() }

// String implements [fmt.Stringer] without giving the token away.
func (t Token) String() string { return redacted }

// GoString implements [fmt.GoStringer] without giving the token away.
func (t Token) GoString() string { return redacted }

// Format implements [fmt.Formatter] without giving the token away, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer] without giving the token away.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] without giving the token away.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ReadToken takes the bearer token (RFC 6750 section 2.1) out of a request's header, the scheme in any case. Errors: [ErrNoToken],
// [ErrBadToken] for one that is longer than 4096 bytes or holds anything but visible ASCII, [ErrManyTokens].
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
	case len(text) > maxToken || strings.ContainsFunc(text, invisible):
		return Token{}, ErrBadToken
	}
	return NewToken(text), nil
}

func invisible(r rune) bool { return r <= ' ' || r > '~' }
