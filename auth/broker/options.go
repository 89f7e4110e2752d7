package broker

import (
	"errors"
	"net/http"
	"time"

	"osgate/auth"
)

// Options configure [Tokens]. Endpoint, ClientID, Secret and Transport are required.
type Options struct {
	Endpoint func(plane string) auth.Endpoint // of each plane's Access Management
	ClientID string                           // of the gateway's own connected app
	// Secret returns the client secret. It is called before each mint, and about once a
	// second while the token endpoint refuses the secret, so that a new secret is used
	// without a restart. It must return quickly.
	Secret    func() (string, error)
	Transport http.RoundTripper
	Timeout   time.Duration // of one mint; 0: 5 s
	// OnChange is called once for each change of a plane's state, in order, without a
	// lock held. It must return quickly. It may be nil.
	OnChange func(State)
}

const (
	mintTimeout = 5 * time.Second

	// defaultLife is the life of a token whose answer does not state it: a quarter of
	// the hour that all documented answers state, because a token that is used too long
	// costs a request a refusal, and an early mint costs nothing.
	defaultLife = 15 * time.Minute

	// A token is replaced after this part of its life, at random in between, so that
	// several gateways do not mint at the same time.
	renewFrom = 75 // percent
	renewTo   = 85

	// The time between mints that fail doubles from minDelay.
	minDelay            = time.Second
	maxUnavailableDelay = 10 * time.Second // the endpoint does not answer
	maxRefusedDelay     = 30 * time.Second // it refuses the client, or upstream its tokens

	// lookDelay is the time between two readings of a secret that was refused.
	lookDelay = time.Second

	// A token that was in use for calmAfter ends the series of refused tokens.
	calmAfter = time.Minute

	// forbiddenFor is how long a refused operation is part of a plane's state.
	forbiddenFor = 5 * time.Minute
)

// complete returns o with defaults in place of zero values, or an error for options
// that cannot work.
func (o Options) complete() (Options, error) {
	if o.Endpoint == nil || o.ClientID == "" || o.Secret == nil || o.Transport == nil || o.Timeout < 0 {
		return o, errors.New("broker: invalid options: Endpoint, ClientID, Secret and Transport are required")
	}
	if o.Timeout == 0 {
		o.Timeout = mintTimeout
	}
	return o, nil
}
