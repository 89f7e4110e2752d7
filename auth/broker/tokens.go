package broker

import (
	"context"
	"maps"
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

// Forbidden records that upstream answered 403 to the gateway's token: the connected
// app lacks a right. It causes no mint, and is part of the plane's state for five
// minutes.
func (t *Tokens) Forbidden(plane string) {
	t.mu.Lock()
	if p := t.find(plane); p != nil && !t.closed {
		p.forbidden = time.Now()
		t.note(p)
		t.remind(p, forbiddenFor)
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
