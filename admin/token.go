package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"time"
)

// Token is the secret that gives an operator access. It does not print itself.
type Token string

const redacted = "[redacted]"

// String returns "[redacted]".
func (Token) String() string { return redacted }

// GoString returns "[redacted]".
func (Token) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", for JSON too; it never fails.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// is reports whether given is the token. The time it takes depends on neither, not even
// on their lengths.
func (t Token) is(given string) bool {
	want, got := sha256.Sum256([]byte(t)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// sessionLife is how long a login lasts.
const sessionLife = 12 * time.Hour

// session returns the value of a cookie that proves, until it expires, that its holder
// knew the token. It is the instant of expiry, authenticated with a key derived from
// the token. So a session survives a restart and ends when the token is changed.
func (t Token) session(now time.Time) string {
	value := binary.BigEndian.AppendUint64(nil, uint64(now.Add(sessionLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(value, t.seal(value)...))
}

// opens reports whether value is a session of this token that has not expired.
func (t Token) opens(value string, now time.Time) bool {
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	expiry := binary.BigEndian.Uint64(raw)
	return hmac.Equal(raw[8:], t.seal(raw[:8])) && uint64(now.Unix()) < expiry
}

// seal authenticates the instant at which a session expires.
func (t Token) seal(expiry []byte) []byte {
	mac := hmac.New(sha256.New, []byte(t))
	mac.Write([]byte("osgate admin session\x00"))
	mac.Write(expiry)
	return mac.Sum(nil)
}
