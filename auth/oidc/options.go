package oidc

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options configure a [Verifier]. Issuers, Audience and Transport are required, and no
// value may be negative. They print as "[redacted]", since Secret would be printed with
// them.
type Options struct {
	Issuers  []Issuer
	Audience string // the gateway, as aud must name it
	// ClientClaims are the claims that may name the client: the first that is a string
	// and not empty does. Empty: azp, client_id, sub.
	ClientClaims []string
	// Transport sends the requests for keys. It must not follow redirects.
	Transport http.RoundTripper
	// Leeway is how far the clock of an issuer may differ, before and after; 0: 30 s.
	Leeway time.Duration
	// Refresh is how long keys are used after they were fetched; 0: 1 h. They are
	// renewed ahead of that while they are in use.
	Refresh time.Duration
	// UnknownKeyInterval is the time between two fetches of one issuer's keys that
	// tokens can cause, and after a fetch that failed; 0: 10 s.
	UnknownKeyInterval time.Duration
	Timeout            time.Duration // of one fetch, discovery included; 0: 5 s
	Bytes              uint64        // limits the memory for verified tokens; 0: 16 MiB
	Secret             []byte        // key of the hashes; empty: random, so that another process has different hashes
	// OnChange is called once for each change of an issuer's Reachable, in order,
	// without a lock held. It must return quickly. It may be nil.
	OnChange func(IssuerState)
}

// Issuer is an issuer whose tokens are believed.
type Issuer struct {
	// URL is the issuer, exactly as in iss: https, or http on loopback.
	URL string
	// JWKS is the URL of its keys, with the same rule; empty: the one in the issuer's
	// discovery document, at URL + "/.well-known/openid-configuration".
	JWKS string
}

const (
	leeway             = 30 * time.Second
	refresh            = time.Hour
	unknownKeyInterval = 10 * time.Second
	timeout            = 5 * time.Second
	capacity           = 16 << 20
)

// check returns an error if the URLs of t cannot be used.
func (t Issuer) check() error {
	u, err := parseURL(t.URL)
	switch {
	case err != nil:
		return fmt.Errorf("oidc: issuer %q: %w", t.URL, err)
	case u.RawQuery != "" || u.ForceQuery:
		return fmt.Errorf("oidc: issuer %q: the URL has a query", t.URL)
	case t.JWKS == "":
		return nil
	}
	if _, err := parseURL(t.JWKS); err != nil {
		return fmt.Errorf("oidc: keys of issuer %q: %w", t.URL, err)
	}
	return nil
}

// parseURL returns the URL in text, if keys from there can be believed.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("this is no URL") // the error of url quotes the text
	case u.Host == "" || u.Opaque != "":
		return nil, errors.New("the URL has no host")
	case u.User != nil:
		return nil, errors.New("the URL contains credentials")
	case strings.Contains(text, "#"):
		return nil, errors.New("the URL has a fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("the URL must be https, or http on loopback")
	}
	return u, nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// redacted is printed in place of the options.
const redacted = "[redacted]"

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
