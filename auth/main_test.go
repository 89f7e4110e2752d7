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

	// For how long a plane that fails is left alone, at first and at most.
	pause        = time.Second
	longestPause = 10 * time.Second
)

// asker is a control plane in one function.
type resolverFunc func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error)

func (f resolverFunc) Lookup(ctx context.Context, plane string, token auth.Token) (auth.Answer, error) {
	p, err := f(ctx, plane, token)
	return auth.Answer{Principal: p}, err
}

func (resolverFunc) Validator(string) string { return "test" }

// whose asks without an authenticator.
func resolve(t *testing.T, a auth.Resolver, plane string, token auth.Token) (*auth.Principal, error) {
	t.Helper()
	result, err := a.Lookup(t.Context(), plane, token)
	return result.Principal, err
}

// counted is f, and how often it was asked.
func counted(f resolverFunc) (resolverFunc, *atomic.Int64) {
	var lookups atomic.Int64
	return func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
		lookups.Add(1)
		return f(ctx, plane, token)
	}, &lookups
}

// yes names a client after the token.
func yes(_ context.Context, plane string, token auth.Token) (*auth.Principal, error) {
	return &auth.Principal{Plane: plane, Client: "client of " + token.Header(), Organizations: []string{"org"}}, nil
}

func no(context.Context, string, auth.Token) (*auth.Principal, error) { return nil, auth.ErrBadToken }

// after is f, which takes that long, or as long as it is given.
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

// silent takes the request and never answers.
func silent(ctx context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
	<-ctx.Done()
	return nil, &auth.UnavailableError{Plane: plane, Cause: ctx.Err(), Unreached: true}
}

// failing answers 5xx.
func failing(_ context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
	return nil, &auth.UnavailableError{Plane: plane, Cause: http.ErrBodyNotAllowed}
}

// changing is a control plane whose behavior changes; the zero value must be given one first.
type changing struct{ now atomic.Pointer[resolverFunc] }

func (c *changing) become(f resolverFunc) { c.now.Store(&f) }

func (c *changing) ask(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
	return (*c.now.Load())(ctx, plane, token)
}

// newAuthenticator returns one with the tests' lifetimes, changed as asked, that is closed when the test ends.
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

// pass lets fake time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// trip makes a believe that the plane us is down, which it must be.
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
