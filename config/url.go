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
// encoders and loggers print it without its query, which may contain a key of the
// server that it names. The zero value is no URL. It is safe for concurrent use.
type URL struct {
	// A pointer to a pointer: if fmt cannot call methods, it prints the struct that a
	// pointer points to.
	whole **url.URL
}

// NewURL returns u, which must not be changed afterwards, as a URL. Nil is no URL.
func NewURL(u *url.URL) URL {
	if u == nil {
		return URL{}
	}
	return URL{whole: &u}
}

// Reveal returns the whole URL, nil if there is none. The caller must keep its query
// out of logs, errors and traces.
func (u URL) Reveal() *url.URL {
	if u.whole == nil {
		return nil
	}
	return *u.whole
}

// String returns the URL with its query replaced by "[redacted]"; "" if there is none.
func (u URL) String() string {
	if u.whole == nil {
		return ""
	}
	return withoutQuery(u.Reveal().String())
}

// withoutQuery returns the text of a URL with its query replaced by "[redacted]".
func withoutQuery(text string) string {
	address, _, found := strings.Cut(text, "?")
	if !found {
		return text
	}
	return address + "?" + redacted
}

// GoString returns the same text as String.
func (u URL) GoString() string { return u.String() }

// Format writes the text that String returns for every verb.
func (u URL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// MarshalJSON encodes the text that String returns; it never fails.
func (u URL) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// MarshalText encodes the text that String returns; it never fails.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue logs the text that String returns.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }
