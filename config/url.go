package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
)

// URL is an absolute http or https URL without user and fragment. Formatting verbs,
// encoders and loggers print it without its query, which may hold a key of the server
// that it leads to. The zero value is no URL. It is safe for concurrent use.
type URL struct {
	// A pointer to a pointer, because fmt prints what a pointer to a struct leads to where it
	// cannot call methods.
	whole **url.URL
}

// NewURL returns u, which is not changed afterwards, as a URL. Nil is no URL.
func NewURL(u *url.URL) URL {
	if u == nil {
		return URL{}
	}
	return URL{whole: &u}
}

// Reveal returns the whole URL, nil where there is none. It is the caller's to keep its
// query out of logs, errors and traces.
func (u URL) Reveal() *url.URL {
	if u.whole == nil {
		return nil
	}
	return *u.whole
}

// String returns the URL with "[redacted]" for its query; "" where there is none.
func (u URL) String() string {
	if u.whole == nil {
		return ""
	}
	return withoutQuery(u.Reveal().String())
}

// withoutQuery returns the text of a URL with "[redacted]" for its query.
func withoutQuery(text string) string {
	address, _, asks := strings.Cut(text, "?")
	if !asks {
		return text
	}
	return address + "?" + redacted
}

// GoString returns what String does.
func (u URL) GoString() string { return u.String() }

// Format writes what String returns, whatever the verb.
func (u URL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// MarshalJSON encodes what String returns; it never fails.
func (u URL) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// MarshalText encodes what String returns; it never fails.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue logs what String returns.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }
