package auth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Options configure an [Authenticator]. TTL must be positive, nothing may be negative. They print as "[redacted]", since Secret would be printed with them.
type Options struct {
	Resolver    Resolver
	TTL         time.Duration    // how long a control plane's yes holds; it is asked again ahead of that while the token is in use
	NegativeTTL time.Duration    // how long its no holds, and a new yes in spite of doubts (that one at least 1 s); 0: each is asked again
	Stale       time.Duration    // how long beyond TTL a yes still serves for forwarding while the control plane is down; 0: not at all
	Timeout     time.Duration    // for one asking; 0: 5 s
	Secret      []byte           // keys the hashes; empty: random, so that hashes mean nothing to another process
	Bytes       uint64           // bounds what is kept of tokens; 0: 64 MiB
	MaxLookups  int              // askings under way, of all planes; 0: 256
	Shared      Shared           // where gateways with the same Secret find each other's identities; nil: nowhere
	Guard       Guard            // slows guessing; nil: nothing does
	OnChange    func(PlaneState) // told each change of a plane's state once, in order, while no lock is held; must return quickly; nil: nobody is told
	OnLookup    func(Lookup)     // told each asking when it is over, by many goroutines at once; must return quickly; nil: nobody is told
}

const (
	lookupTimeout = 5 * time.Second
	capacity      = 64 << 20
	maxLookups    = 256
	minInterval   = time.Second // between two askings about one token that its callers can bring about
)

// complete returns o with defaults in place of zero values, or an error for options that cannot work.
func (o Options) complete() (Options, error) {
	if o.Resolver == nil || o.TTL <= 0 || o.NegativeTTL < 0 || o.Stale < 0 || o.Timeout < 0 || o.MaxLookups < 0 {
		return o, errors.New("auth: an asker and a positive TTL are needed, and nothing negative")
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

// Format is String, whatever the verb: %d would otherwise print the bytes of Secret.
func (o Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is String, for slog.
func (o Options) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is String, for JSON.
func (o Options) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
