package broker

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/internal/changes"
)

// Tokens are the gateway's own Anypoint tokens, one of each plane. They are in memory
// only. They are safe for concurrent use.
type Tokens struct {
	options    Options
	minter     auth.Minter
	planes     atomic.Pointer[map[string]*plane] // replaced as a whole, under mu
	background sync.WaitGroup                    // of mints; grows only under mu and before closed

	// mu guards the fields below, and those of all planes.
	mu     sync.Mutex
	closed bool

	changes changes.Queue[State] // not yet reported to OnChange
}

// NewTokens returns Tokens that mint nothing before the first call of Token, or an
// error for options that cannot work.
func NewTokens(o Options) (*Tokens, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	t := &Tokens{
		options: o,
		minter:  auth.Minter{Transport: o.Transport, Endpoint: o.Endpoint, ClientID: o.ClientID},
	}
	t.planes.Store(&map[string]*plane{})
	return t, nil
}

// Token returns the gateway's token of plane. A token that is fresh is returned at
// once, without a lock or an allocation; if it is due for renewal, that starts in the
// background. Otherwise, Token waits for a mint, at most until ctx ends; concurrent
// calls share one mint, and the end of one ctx does not end it for the others. Errors:
// *[CredentialError], *[auth.UnavailableError], the error of ctx.
func (t *Tokens) Token(ctx context.Context, plane string) (auth.Token, error) {
	if p := t.find(plane); p != nil {
		if h := p.held.Load(); h != nil {
			age := time.Since(h.at)
			if age < h.life {
				if int64(age) >= h.renewal.Load() {
					t.renew(ctx, p)
				}
				return h.token, nil
			}
		}
	}
	return t.await(ctx, plane)
}

// find returns the state of a plane, nil before the first Token.
func (t *Tokens) find(plane string) *plane { return (*t.planes.Load())[plane] }

// entry returns the state of a plane. The caller holds mu.
func (t *Tokens) entry(name string) *plane {
	if p := t.find(name); p != nil {
		return p
	}
	p := &plane{name: name}
	more := maps.Clone(*t.planes.Load())
	more[name] = p
	t.planes.Store(&more)
	return p
}

// await returns a token that a mint under way, or a new mint, returns.
func (t *Tokens) await(ctx context.Context, plane string) (auth.Token, error) {
	f, token, err := t.join(ctx, plane)
	if f == nil {
		return token, err
	}
	result, err := f.Wait(ctx)
	if err != nil {
		return auth.Token{}, err //nolint:wrapcheck // the error of ctx
	}
	return result.token, result.err
}

// join returns the mint to wait for. It returns none but a token if that became fresh
// meanwhile, and none but an error if no mint is due.
func (t *Tokens) join(ctx context.Context, plane string) (*mint, auth.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	p := t.entry(plane)
	if h := p.held.Load(); h.fresh(now) {
		return nil, h.token, nil
	}
	if p.mint != nil {
		return p.mint, auth.Token{}, nil
	}
	if t.closed {
		return nil, auth.Token{}, &auth.UnavailableError{Plane: plane, Cause: errClosed}
	}
	if !p.due(now) {
		return nil, auth.Token{}, retryIn(p.failure, p.wait(now))
	}
	t.start(ctx, p)
	return p.mint, auth.Token{}, nil
}

// renew starts a mint in the background if the token of p is still due for renewal.
func (t *Tokens) renew(ctx context.Context, p *plane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	h := p.held.Load()
	if h == nil || t.closed || int64(now.Sub(h.at)) < h.renewal.Load() {
		return
	}
	t.start(ctx, p)
}

// Refused drops a token that upstream answered 401, so that the next Token mints a new
// one. It ignores a token that is not the current one any more. After a new token is
// refused too, there are no mints for a while, and Token returns a *[CredentialError];
// but a token that upstream accepted in the meantime stays in use for that while. So
// neither an upstream that refuses all tokens nor one that answers 401 to some requests
// causes a mint for each request.
func (t *Tokens) Refused(plane string, token auth.Token) {
	t.mu.Lock()
	p := t.find(plane)
	if p != nil && p.refuse(token, time.Now()) {
		t.note(p)
	}
	t.mu.Unlock()
	t.notify()
}

// refuse records that upstream refused a token, and reports whether that was the token
// in use, which is dropped.
func (p *plane) refuse(token auth.Token, now time.Time) bool {
	h := p.held.Load()
	if h == nil || !h.token.Equal(token) {
		return false
	}
	accepted := h.accepted.Load()
	if now.Sub(h.at) >= calmAfter {
		p.refusals = 0
	}
	wait := time.Duration(0)
	if p.refusals > 0 {
		wait = delay(p.refusals, maxRefusedDelay)
	}
	if accepted && now.Before(p.refusedAt.Add(wait)) {
		return false // it refuses the request rather than the token
	}
	p.held.Store(nil)
	p.refusals++
	p.refusedAt = now
	if wait > 0 && !accepted {
		p.refused = true
		p.failure = &CredentialError{Plane: p.name, Cause: errRefused}
		p.retryAt = now.Add(wait)
	}
	return true
}

// Accepted records that upstream answered other than 401 to a token. It costs little,
// and is called for each such answer: without it a plane whose new tokens were refused
// does not become OK again.
func (t *Tokens) Accepted(plane string, token auth.Token) {
	p := t.find(plane)
	if p == nil {
		return
	}
	h := p.held.Load()
	if h == nil || h.accepted.Load() || !h.token.Equal(token) {
		return
	}
	t.mu.Lock()
	if p.held.Load() == h {
		h.accepted.Store(true)
		p.refused = false
		t.note(p)
	}
	t.mu.Unlock()
	t.notify()
}

// Forbidden records that upstream answered 403 to the gateway's token at a place: the
// connected app lacks a right there. It causes no mint. The place is a part of the
// plane's state for five minutes.
func (t *Tokens) Forbidden(plane string, at Place) {
	t.mu.Lock()
	if p := t.find(plane); p != nil && !t.closed {
		now := time.Now()
		if p.forbidden.add(at, now) {
			t.note(p)
			t.remind(p, now)
		}
	}
	t.mu.Unlock()
	t.notify()
}

// Close waits for the mints under way, each limited by Timeout. Later calls of Token
// return the token that is in use, or an *[auth.UnavailableError].
func (t *Tokens) Close() {
	t.mu.Lock()
	t.closed = true
	for _, p := range *t.planes.Load() {
		for _, timer := range []*time.Timer{p.retry, p.reminder} {
			if timer != nil {
				timer.Stop()
			}
		}
	}
	t.mu.Unlock()
	t.background.Wait()
}

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

	// forbiddenFor is how long an environment in which an operation was refused is part
	// of a plane's state.
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
