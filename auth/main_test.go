package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"osgate/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The lifetimes of the tests' authenticators.
const (
	ttl         = time.Minute
	negativeTTL = 5 * time.Second
	stale       = 10 * time.Minute
	timeout     = 5 * time.Second // the default

	// The interval between probes of a failing plane, at first and at most.
	pause        = time.Second
	longestPause = 10 * time.Second
)

// resolverFunc is a control plane in one function.
type resolverFunc func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error)

func (f resolverFunc) Lookup(ctx context.Context, plane string, token auth.Token) (auth.Answer, error) {
	p, err := f(ctx, plane, token)
	return auth.Answer{Principal: p}, err
}

func (resolverFunc) Validator(string) string { return "test" }

// resolve sends a lookup without an authenticator.
func resolve(t *testing.T, a auth.Resolver, plane string, token auth.Token) (*auth.Principal, error) {
	t.Helper()
	result, err := a.Lookup(t.Context(), plane, token)
	return result.Principal, err
}

// counted returns f, and the number of its calls.
func counted(f resolverFunc) (resolverFunc, *atomic.Int64) {
	var lookups atomic.Int64
	return func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
		lookups.Add(1)
		return f(ctx, plane, token)
	}, &lookups
}

// yes returns a client that is named after the token.
func yes(_ context.Context, plane string, token auth.Token) (*auth.Principal, error) {
	return &auth.Principal{Plane: plane, Client: "client of " + token.Header(), Organizations: []string{"org"}}, nil
}

func no(context.Context, string, auth.Token) (*auth.Principal, error) { return nil, auth.ErrBadToken }

// after returns f with a delay of d, or until its context ends.
func after(d time.Duration, f resolverFunc) resolverFunc {
	return func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
		select {
		case <-time.After(d):
			return f(ctx, plane, token)
		case <-ctx.Done():
			return nil, &auth.UnavailableError{Plane: plane, Cause: ctx.Err(), Unreached: true}
		}
	}
}

// silent never answers.
func silent(ctx context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
	<-ctx.Done()
	return nil, &auth.UnavailableError{Plane: plane, Cause: ctx.Err(), Unreached: true}
}

// failing answers 5xx.
func failing(_ context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
	return nil, &auth.UnavailableError{Plane: plane, Cause: http.ErrBodyNotAllowed}
}

// changing is a control plane whose behavior can be replaced. It must be set before
// use.
type changing struct{ now atomic.Pointer[resolverFunc] }

func (c *changing) become(f resolverFunc) { c.now.Store(&f) }

func (c *changing) ask(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
	return (*c.now.Load())(ctx, plane, token)
}

// newAuthenticator returns an Authenticator with the tests' lifetimes and the given
// changes. It is closed when the test ends.
func newAuthenticator(t testing.TB, f resolverFunc, changes ...func(*auth.Options)) *auth.Authenticator {
	t.Helper()
	o := auth.Options{Resolver: f, TTL: ttl, NegativeTTL: negativeTTL, Stale: stale}
	for _, change := range changes {
		change(&o)
	}
	a, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// pass waits for d of the bubble's time.
func pass(d time.Duration) { <-time.After(d) }

// trip makes a consider the plane us down.
func trip(t testing.TB, a *auth.Authenticator) {
	t.Helper()
	for i := range 3 {
		if _, err := a.Identify(t.Context(), "us", auth.NewToken(fmt.Sprint("finds out ", i)), ""); err == nil {
			t.Fatal("the plane is not down")
		}
	}
	for _, s := range a.Planes() {
		if s.Plane == "us" && s.OK {
			t.Fatalf("the plane does not count as down: %+v", s)
		}
	}
}
