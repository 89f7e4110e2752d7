package auth

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Options configure an [Authenticator]. TTL must be positive, nothing may be negative. They print as "[redacted]", since Secret would be printed with them.
type Options struct {
	Asker       Asker
	TTL         time.Duration // how long a control plane's yes holds
	NegativeTTL time.Duration // how long its no holds, and a new yes in spite of doubts; 0: each is asked again
	Stale       time.Duration // how long beyond TTL a yes still serves for forwarding while the control plane is down; 0: not at all
	Timeout     time.Duration // for one asking; 0: 5 s
	Secret      []byte        // keys the hashes; empty: random, so that hashes mean nothing to another process
	Capacity    int           // tokens kept; 0: 100,000
}

// String returns a fixed text.
func (o Options) String() string { return redacted }

// GoString is String.
func (o Options) GoString() string { return redacted }

// Format is String, whatever the verb: %d would otherwise print the bytes of Secret.
func (o Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is String, for slog.
func (o Options) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is String, for JSON.
func (o Options) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
