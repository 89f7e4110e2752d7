package auth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Options configure an [Authenticator]. TTL must be positive, no other value may be
// negative. They print as "[redacted]", since Secret would be printed with them.
type Options struct {
	Resolver Resolver
	// TTL is how long a yes of a control plane is fresh. It is renewed ahead of its end
	// while the token is in use.
	TTL time.Duration
	// NegativeTTL is how long a no of a control plane is fresh, and how long Doubt
	// keeps a new yes (at least 1 s); 0: each use of a refused token causes a lookup.
	NegativeTTL time.Duration
	// Stale is how long after TTL a yes allows forwarding while the control plane is
	// down; 0: not at all.
	Stale      time.Duration
	Timeout    time.Duration // of one lookup; 0: 5 s
	Secret     []byte        // key of the hashes; empty: random, so that another process has different hashes
	Bytes      uint64        // limits the memory for verdicts; 0: 64 MiB
	MaxLookups int           // concurrent lookups, of all planes; 0: 256
	Shared     Shared        // identities shared by gateways with the same Secret; nil: none
	Guard      Guard         // slows guessing; nil: no limit
	// OnChange is called once for each change of a plane's state, in order, without a
	// lock held. It must return quickly. It may be nil.
	OnChange func(PlaneState)
	// OnLookup is called for each lookup when it is over, by many goroutines at once.
	// It must return quickly. It may be nil.
	OnLookup func(Lookup)
}

const (
	lookupTimeout = 5 * time.Second
	capacity      = 64 << 20
	maxLookups    = 256
	minInterval   = time.Second // between two lookups of one token that its callers can cause
)

// complete returns o with defaults in place of zero values, or an error for options
// that cannot work.
func (o Options) complete() (Options, error) {
	if o.Resolver == nil || o.TTL <= 0 || o.NegativeTTL < 0 || o.Stale < 0 || o.Timeout < 0 || o.MaxLookups < 0 {
		return o, errors.New(
			"auth: invalid options: a Resolver and a positive TTL are required, and no value may be negative")
	}
	if o.Timeout == 0 {
		o.Timeout = lookupTimeout
	}
	if o.Bytes == 0 {
		o.Bytes = capacity
	}
	if o.MaxLookups == 0 {
		o.MaxLookups = maxLookups
	}
	return o, nil
}

// String returns a fixed text.
func (o Options) String() string { return redacted }

// GoString is String.
func (o Options) GoString() string { return redacted }

// Format is String, for every verb: %d would otherwise print the bytes of Secret.
func (o Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is String, for slog.
func (o Options) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is String, for JSON.
func (o Options) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
