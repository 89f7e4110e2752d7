package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// outcome returns the result of Identify as one word.
func outcome(id auth.Identity, err error) string {
	_, unavailable := errors.AsType[*auth.UnavailableError](err)
	switch {
	case err == nil && id.Principal != nil && id.Stale:
		return "stale"
	case err == nil && id.Principal != nil:
		return "fresh"
	case id.Principal != nil || id.Stale:
		return fmt.Sprintf("%+v beside %v", id, err)
	case errors.Is(err, auth.ErrBadToken) && !unavailable:
		return "refused"
	case unavailable:
		return "unavailable"
	}
	return fmt.Sprint(err)
}

// expect identifies token and fails the test if the outcome is not want.
func expect(t *testing.T, a *auth.Authenticator, plane string, token auth.Token, want string) {
	t.Helper()
	if got := outcome(a.Identify(t.Context(), plane, token, "")); got != want {
		t.Errorf("token of %s is %s, want %s", plane, got, want)
	}
}

func TestKnownTokenIsForwardedWhileThePlaneIsDown(t *testing.T) {
	for name, down := range map[string]resolverFunc{
		"silent": silent, "5xx": failing, "slow 5xx": after(4*time.Second, failing),
		"an error of another kind": func(context.Context, string, auth.Token) (*auth.Principal, error) { return nil, errors.New("odd") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var plane changing
				plane.become(yes)
				a := newAuthenticator(t, plane.ask)
				learned := time.Now()
				expect(t, a, "us", token, "fresh")
				plane.become(down)
				for _, at := range []struct {
					since time.Duration
					want  string
				}{
					{ttl - 1, "fresh"},
					{ttl, "stale"},
					{ttl + stale/2, "stale"},
					{ttl + stale - timeout - 1, "stale"},
					{ttl + stale, "unavailable"},
					{ttl + 2*stale, "unavailable"},
				} {
					pass(at.since - time.Since(learned))
					id, err := a.Identify(t.Context(), "us", token, "")
					if got := outcome(id, err); got != at.want {
						t.Errorf("after %v: %s, want %s", at.since, got, at.want)
					}
					if err == nil && id.Age != time.Since(learned) {
						t.Errorf("after %v: age %v, want %v", at.since, id.Age, time.Since(learned))
					}
				}
				plane.become(yes)
				pass(longestPause)
				expect(t, a, "us", token, "fresh")
			})
		})
	}
}

// The stale window is checked when the answer is given, not when the lookup began.
func TestStaleWindowEndsWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask)
		expect(t, a, "us", token, "fresh")
		plane.become(silent)
		pass(ttl + stale - 100*time.Millisecond)
		expect(t, a, "us", token, "unavailable")
	})
}

// Callers with a known token do not wait long for a slow plane, even before it counts
// as down. Its late answer is used all the same.
func TestKnownTokenWaitsOnlyBrieflyForASlowPlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask)
		expect(t, a, "us", token, "fresh")
		pass(ttl)
		plane.become(after(3*time.Second, yes))
		began := time.Now()
		expect(t, a, "us", token, "stale")
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("waited %v, want half a second", took)
		}
		unknown := make(chan time.Duration)
		go func() {
			expect(t, a, "us", auth.NewToken("unknown"), "fresh")
			unknown <- time.Since(began)
		}()
		if took := <-unknown; took != 3500*time.Millisecond {
			t.Errorf("an unknown token waited until %v, want the whole answer", took)
		}
		expect(t, a, "us", token, "fresh")
	})
}

func TestNothingIsStaleUnlessAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask, func(o *auth.Options) { o.Stale = 0 })
		expect(t, a, "us", token, "fresh")
		plane.become(failing)
		pass(ttl)
		expect(t, a, "us", token, "unavailable")
	})
}

func TestOnlyGoodTokensAreForwardedWhileThePlaneIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		a := newAuthenticator(t, plane.ask)
		refused, revoked, forgotten := auth.NewToken("refused"), auth.NewToken("revoked"), auth.NewToken("forgotten")
		plane.become(no)
		expect(t, a, "us", refused, "refused")
		plane.become(yes)
		expect(t, a, "us", revoked, "fresh")
		expect(t, a, "us", forgotten, "fresh")
		pass(ttl)
		plane.become(no)
		expect(t, a, "us", revoked, "refused")
		a.Forget("us", forgotten)
		plane.become(failing)
		expect(t, a, "us", revoked, "refused")
		pass(negativeTTL)
		for name, token := range map[string]auth.Token{"refused": refused, "revoked": revoked, "forgotten": forgotten, "unknown": auth.NewToken("unknown")} {
			if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "unavailable" {
				t.Errorf("%s: %s, want unavailable", name, got)
			}
		}
	})
}

// While a plane does not answer, callers with known tokens do not wait.
func TestKnownTokenDoesNotWaitForASilentPlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		a := newAuthenticator(t, plane.ask)
		expect(t, a, "us", token, "fresh")
		pass(ttl)
		plane.become(silent)
		trip(t, a)
		began := time.Now()
		if got := outcome(a.Identify(t.Context(), "us", token, "")); got != "stale" || time.Since(began) != 0 {
			t.Errorf("%s after %v, want stale at once", got, time.Since(began))
		}
	})
}

// An answer without a verdict concerns the token that was sent. A client that can cause
// 5xx answers must not make the plane count as down for others.
func TestFailureForOneTokenRefusesNoOther(t *testing.T) {
	for name, fails := range map[string]resolverFunc{
		"5xx": failing, "an error of another kind": func(context.Context, string, auth.Token) (*auth.Principal, error) { return nil, errors.New("odd") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resolver, lookups := counted(func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
					if token.Header() == "Bearer poison" {
						return fails(ctx, plane, token)
					}
					return yes(ctx, plane, token)
				})
				a := newAuthenticator(t, resolver)
				for i := range int64(3) {
					if got := outcome(a.Identify(t.Context(), "us", auth.NewToken("poison"), "")); got != "unavailable" || lookups.Load() != 2*i+1 {
						t.Errorf("poison: %s, %d lookups", got, lookups.Load())
					}
					expect(t, a, "us", auth.NewToken(fmt.Sprint(i)), "fresh")
				}
			})
		})
	}
}

func TestFailureHasTheResolversError(t *testing.T) {
	cause := errors.New("odd")
	result := &auth.UnavailableError{Plane: "us", RetryAfter: 7 * time.Second, Cause: cause}
	for name, fails := range map[string]error{"its own": result, "wrapped": fmt.Errorf("lookup: %w", result)} {
		a := newAuthenticator(t, func(context.Context, string, auth.Token) (*auth.Principal, error) { return nil, fails })
		_, err := a.Identify(t.Context(), "us", token, "")
		if failure, ok := errors.AsType[*auth.UnavailableError](err); !ok || *failure != *result || !errors.Is(err, cause) {
			t.Errorf("%s: %+v, want %+v", name, err, result)
		}
	}
	a := newAuthenticator(t, func(context.Context, string, auth.Token) (*auth.Principal, error) { return nil, cause })
	_, err := a.Identify(t.Context(), "us", token, "")
	if failure, ok := errors.AsType[*auth.UnavailableError](err); !ok || failure.Plane != "us" || failure.RetryAfter != 0 || !errors.Is(err, cause) {
		t.Errorf("another kind: %+v, want %v as its cause", err, cause)
	}
}

func TestAskingIsBounded(t *testing.T) {
	for _, bound := range []time.Duration{0, 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			a := newAuthenticator(t, silent, func(o *auth.Options) { o.Timeout = bound })
			want, began := bound, time.Now()
			if bound == 0 {
				want = timeout
			}
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if _, err := a.Identify(t.Context(), "us", token, ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != want {
						t.Errorf("%v after %v, want the end of its time after %v", err, time.Since(began), want)
					}
				})
			}
			all.Wait()
		})
	}
}

// A status that blames the request concerns the token that was sent. A client that can
// cause it must not make the plane count as down for others.
func TestFailureOfOneTokenDoesNotTakeThePlaneDown(t *testing.T) {
	for status, down := range map[int]bool{400: false, 404: false, 431: false, 408: true, 429: true, 500: true} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.Header.Get("Authorization"), "odd") {
				w.WriteHeader(status)
				return
			}
			_, _ = io.WriteString(w, `{"client":{"client_id":"c","org_id":"o"}}`)
		}))
		to, _ := url.Parse(server.URL)
		transport := &http.Transport{}
		a := newAuthenticator(t, nil, func(o *auth.Options) {
			o.Resolver = &auth.Anypoint{Transport: transport, Endpoint: func(string) auth.Endpoint { return auth.Endpoint{URL: to, Host: "x"} }}
		})
		for i := range 3 {
			if got := outcome(a.Identify(t.Context(), "us", auth.NewToken(fmt.Sprint(i, "odd")), "")); got != "unavailable" {
				t.Errorf("%d: %s, want unavailable", status, got)
			}
		}
		want := map[bool]string{true: "unavailable", false: "fresh"}[down]
		if got := outcome(a.Identify(t.Context(), "us", token, "")); got != want {
			t.Errorf("after three answers of %d another token is %s, want %s", status, got, want)
		}
		transport.CloseIdleConnections()
		server.Close()
	}
}
