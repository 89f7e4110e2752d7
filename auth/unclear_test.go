package auth_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// unclear answers about a token and names no principal.
func unclear(_ context.Context, plane string, _ auth.Token) (*auth.Principal, error) {
	return nil, &auth.UnavailableError{Plane: plane, Cause: errors.New("it names nobody"), Answered: true}
}

func noPrincipal(context.Context, string, auth.Token) (*auth.Principal, error) { return nil, nil }

// An answer that names no principal does not affect other tokens or the state of the
// plane.
func TestUnclearAnswerIsNoTroubleOfThePlane(t *testing.T) {
	for name, answers := range map[string]http.HandlerFunc{
		"me: no client, no user": says(`{}`), "me: a client without an id": says(`{"client":{"client_id":""}}`), "me: a name twice": says(`{"client":{},"client":{}}`),
		"me: of another type": says(`{"client":7}`), "me: 404": echo(404, ""), "me: 422": echo(422, "x"), "me: 400": echo(400, ""), "me: 431": echo(431, ""),
		"introspect: active": says(`{"active":true}`), "introspect: does not state": says(`{"client_id":"app"}`), "introspect: 400": echo(400, `{"error":"invalid_request"}`),
		"introspect: an end that is none": says(`{"active":true,"client_id":"app","exp":1e400}`), "introspect: 413": echo(413, ""), "introspect: 431": echo(431, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			next := newTokens()
			good := atomic.Bool{}
			answer := func(w http.ResponseWriter, r *http.Request) {
				if good.Load() {
					says(`{"active":true,"client_id":"app","client":{"client_id":"app"}}`)(w, r)
					return
				}
				answers(w, r)
			}
			me := accounts(t, answer)
			var asker auth.Resolver = me
			if strings.HasPrefix(name, "introspect") {
				asker = &auth.Introspection{Transport: me.Transport, Endpoint: me.Endpoint, ClientID: "gateway", Secret: "s3cret"}
			}
			a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = asker })
			for range 20 {
				expect(t, a, "us", next(), "unavailable")
			}
			good.Store(true)
			expect(t, a, "us", next(), "fresh")
			if got := a.Planes(); len(got) != 1 || !got[0].OK || got[0].LastError != "" || got[0].Breaker != "closed" {
				t.Errorf("20 unclear answers are told as %+v", got)
			}
		})
	}
}

// An answer that would be the same for any token, or was not read to its end, is a
// failure of the plane.
func TestAnswerAboutNoTokenInParticularIsTroubleOfThePlane(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"active":true}`))
	}
	for name, answers := range map[string]http.HandlerFunc{
		"me: cut": cut, "me: a web page": says("<html>"), "me: empty": says(""), "me: cut JSON": says(`{"client":{"client_id":"a"`), "me: null": says("null"),
		"me: 500": echo(500, ""), "me: 429": echo(429, ""), "me: 408": echo(408, ""), "me: redirect": echo(302, ""),
		"introspect: cut": cut, "introspect: a web page": says("<html>"), "introspect: 404": echo(404, ""), "introspect: 500": echo(500, ""),
		"introspect: wrong credentials": echo(401, ""), "introspect: wrong credentials by 400": echo(400, `{"error":"invalid_client"}`),
		"introspect: we may not": echo(400, `{"error":"unauthorized_client"}`), "introspect: forbidden": echo(403, ""),
	} {
		t.Run(name, func(t *testing.T) {
			me := accounts(t, answers)
			var asker auth.Resolver = me
			if strings.HasPrefix(name, "introspect") {
				asker = &auth.Introspection{Transport: me.Transport, Endpoint: me.Endpoint, ClientID: "gateway", Secret: "s3cret"}
			}
			a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = asker })
			trip(t, a)
			if got := a.Planes(); got[0].LastError == "" {
				t.Errorf("the cause is missing: %+v", got)
			}
		})
	}
}

func TestUnclearTokenIsLookedUpOnceInAWhile(t *testing.T) {
	for name, answer := range map[string]resolverFunc{"by its error": unclear, "by no principal": noPrincipal} {
		synctest.Test(t, func(t *testing.T) {
			resolver, lookups := counted(answer)
			var results []string
			a := newAuthenticator(t, resolver, func(o *auth.Options) { o.OnLookup = func(q auth.Lookup) { results = append(results, q.Result) } })
			for range 10 {
				_, err := a.Identify(t.Context(), "us", token, "")
				failure, ok := errors.AsType[*auth.UnavailableError](err)
				if !ok || errors.Is(err, auth.ErrBadToken) || failure.RetryAfter <= 0 && lookups.Load() > 1 || failure.RetryAfter > negativeTTL {
					t.Errorf("%s: %+v, want an identity that is not available, and when to come back", name, err)
				}
				pass(negativeTTL / 10)
			}
			if lookups.Load() != 1 {
				t.Errorf("%s: %d lookups, want once in %v", name, lookups.Load(), negativeTTL)
			}
			expect(t, a, "us", token, "unavailable")
			synctest.Wait()
			if lookups.Load() != 2 || !slices.Equal(results, []string{"unclear", "unclear"}) {
				t.Errorf("%s: %d lookups, told as %q; want again after %v", name, lookups.Load(), results, negativeTTL)
			}
			if got := a.Counts(); got.Unavailable != 11 {
				t.Errorf("%s: counted as %+v", name, got)
			}
		})
	}
}

// A token that was accepted before is forwarded as while a plane is down; and the
// lookup is repeated once in a while, not at each use.
func TestUnclearAnswerAboutAKnownTokenLeavesItForForwarding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		resolver, lookups := counted(plane.ask)
		a := newAuthenticator(t, resolver)
		expect(t, a, "us", token, "fresh")
		plane.become(unclear)
		pass(ttl)
		lookups.Store(0)
		for began := time.Now(); time.Since(began) < 4*negativeTTL; pass(negativeTTL / 100) {
			expect(t, a, "us", token, "stale")
		}
		if got := lookups.Load(); got != 4 {
			t.Errorf("%d lookups in four times %v", got, negativeTTL)
		}
		plane.become(yes)
		pass(negativeTTL)
		expect(t, a, "us", token, "fresh")
		plane.become(unclear)
		pass(ttl + stale)
		expect(t, a, "us", token, "unavailable")
	})
}

func TestUnclearAnswerIsChargedToItsCallersAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTally()
		next := newTokens()
		resolver, lookups := counted(unclear)
		a := newAuthenticator(t, resolver, guarded(g))
		for range 20 {
			_, _ = a.Identify(t.Context(), "us", next(), here)
		}
		if g.failed[here] != 20 || len(g.failed) != 1 {
			t.Errorf("20 tokens without a client and a user are charged as %v", g.failed)
		}
		for range 10 {
			_, _ = a.Identify(t.Context(), "us", token, there)
		}
		if g.failed[there] != 1 || len(g.failed) != 3 {
			t.Errorf("one of them used 10 times is charged as %v, want once to its address and then to itself", g.failed)
		}
		g.block(here)
		before := lookups.Load()
		if _, err := a.Identify(t.Context(), "us", next(), here); !guessing(err) || lookups.Load() != before {
			t.Errorf("from a blocked address: %v, %d lookups", err, lookups.Load()-before)
		}
	})
}

// A known token is forwarded in spite of an unclear answer, which does not count as a
// failure of its address.
func TestUnclearAnswerAboutAKnownTokenIsNoGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTally()
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask, guarded(g))
		_ = must(a.Identify(t.Context(), "us", token, here))
		plane.become(unclear)
		pass(ttl)
		if id := must(a.Identify(t.Context(), "us", token, here)); !id.Stale || len(g.failed) != 0 {
			t.Errorf("%+v, charged %v", id, g.failed)
		}
	})
}

// Other gateways keep their identities; an unclear answer is not shared.
func TestUnclearAnswerIsNotTheOthersBusiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace()
		expect(t, replica(t, yes, p), "us", token, "fresh")
		synctest.Wait()
		pass(ttl)
		expect(t, replica(t, unclear, p), "us", token, "stale")
		expect(t, replica(t, unclear, p), "us", auth.NewToken("another"), "unavailable")
		synctest.Wait()
		if len(p.kept) != 1 || p.puts != 1 || p.drops != 0 {
			t.Errorf("%d kept, %d puts, %d drops", len(p.kept), p.puts, p.drops)
		}
	})
}
