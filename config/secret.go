package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// redacted replaces a secret wherever it would be printed.
const redacted = "[redacted]"

// Secret is text that no formatting verb, encoder or logger prints: all of them write
// "[redacted]", or "" if it is empty. The zero value is the empty secret. It is safe
// for concurrent use.
type Secret struct {
	// A pointer, because fmt does not call the methods of a value in another struct's
	// unexported field; it then prints an address.
	text *string
}

// NewSecret returns a secret with the given text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text of the secret, "" if it is empty. The caller must keep it out
// of logs, errors and traces.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns "[redacted]", or "" for the empty secret.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return redacted
}

// GoString returns the same text as String.
func (s Secret) GoString() string { return s.String() }

// Format writes the text that String returns for every verb. Otherwise %d and similar
// verbs would print the fields.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalJSON encodes the text that String returns; it never fails.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText encodes the text that String returns; it never fails.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue logs the text that String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

const keyBytes = 32

// decodeKey decodes 32 bytes in any of the four base64 alphabets of RFC 4648, padded or
// not. Its errors never contain text.
func decodeKey(text string) ([]byte, error) {
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	key, err := base64.RawStdEncoding.DecodeString(standard)
	if err != nil {
		return nil, errors.New("is not base64")
	}
	if len(key) != keyBytes {
		return nil, fmt.Errorf("holds %d bytes", len(key))
	}
	return key, nil
}
