// Package seal protects data that leaves the process for a shared place, such as Redis:
// sealed data can be neither read nor forged there, and authenticated data cannot be
// forged. Stored data can still be deleted and put back: an [Issue] inside the data
// bounds how long it counts.
//
// A [Sealer] is AES-256-GCM (NIST SP 800-38D) with a random nonce before each text,
// under a key derived from the deployment's one secret for one purpose (HKDF, RFC
// 5869): data sealed for one purpose does not open for another. A [MAC] is HMAC-SHA256
// under such a key.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// SecretBytes is the minimum length of a secret.
const SecretBytes = 32

// ErrOpen is returned for a text that was sealed with another secret, for another
// purpose or under another name, or that was changed afterwards.
var ErrOpen = errors.New("sealed text does not open")

// Sealer seals and opens. It is safe for concurrent use. With random nonces of 96 bits
// a key can seal 2^32 texts; a deployment that seals more must rotate its secret
// before.
type Sealer struct{ aead cipher.AEAD }

// New returns a Sealer for a purpose. It returns an error if the secret is shorter than
// [SecretBytes] or the purpose is empty.
func New(secret []byte, purpose string) (*Sealer, error) {
	key, err := derive(secret, purpose)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	return &Sealer{aead}, nil
}

// derive returns the key for a purpose.
func derive(secret []byte, purpose string) ([]byte, error) {
	if len(secret) < SecretBytes {
		return nil, fmt.Errorf("seal: a secret of %d bytes, want at least %d", len(secret), SecretBytes)
	}
	if purpose == "" {
		return nil, errors.New("seal: no purpose")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "osgate "+purpose, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return key, nil
}

// Seal returns text encrypted and bound to name, the place where it is stored: it does
// not open under another name. The result is 28 bytes longer than text.
func (s *Sealer) Seal(name string, text []byte) []byte {
	//nolint:gosec // the cipher generates its own nonce
	return s.aead.Seal(make([]byte, 0, len(text)+s.aead.Overhead()), nil, text, []byte(name))
}

// Open returns the text that was sealed under name, or [ErrOpen].
func (s *Sealer) Open(name string, sealed []byte) ([]byte, error) {
	text, err := s.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, ErrOpen
	}
	return text, nil
}

const redacted = "[redacted]"

// Format prints a fixed text, whatever the verb: a Sealer holds a key.
func (*Sealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns the same fixed text, for slog.
func (*Sealer) LogValue() slog.Value { return slog.StringValue(redacted) }
