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

// redacted stands wherever a secret would be printed.
const redacted = "[redacted]"

// Secret is text that no formatting verb, encoder or logger prints: all say "[redacted]", or nothing where it is empty.
// The zero value is the empty secret. It is safe for concurrent use.
type Secret struct {
	// A pointer, because fmt does not call methods on another struct's unexported field: it then prints an address.
	text *string
}

// NewSecret returns the secret that holds text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the secret itself, "" where there is none. What it returns is the caller's to keep out of logs, errors
// and traces.
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

// GoString returns what String does.
func (s Secret) GoString() string { return s.String() }

// Format writes what String returns, whatever the verb: %d and its like would otherwise print the fields.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalJSON encodes what String returns; it never fails.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText encodes what String returns; it never fails.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue logs what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

const keyBytes = 32

// decodeKey decodes 32 bytes in any of the four base64 alphabets of RFC 4648, padded or not. Its errors never hold text.
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
