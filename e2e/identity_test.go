package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// clientWithUnknownToken returns a client with a token that the gateway does not know.
func (g *gateway) clientWithUnknownToken(app string) client {
	g.t.Helper()
	c := g.client()
	c.token = g.stack.emulator.mintAt(g.t, app, "us")
	g.stack.addSecret(c.token)
	return c
}

func isIdentityRequest(r receivedRequest) bool { return r.Target == "/accounts/api/me" }

// TestThousandRequestsWithANewTokenSendOneLookup sends a thousand requests with one
// unknown token before the control plane has answered the first.
func TestThousandRequestsWithANewTokenSendOneLookup(t *testing.T) {
	t.Parallel()
	s := newStack(t, false, "-latency", "300ms")
	g := s.gateway("RATE=0", "CACHE_KEY_TTL=0", "MAX_EXCHANGES=20000") // an unidentified address holds at most a sixteenth of the slots
	one := g.clientWithUnknownToken("app-one")
	s.emulator.clearRequests()
	var all sync.WaitGroup
	var y = answerCounts{byStatus: map[int]int{}}
	for range 1000 {
		all.Go(func() { y.add(one.try(http.MethodGet, keyOne, "")) })
	}
	all.Wait()
	if y.byStatus[http.StatusOK] != 1000 {
		t.Errorf("%v; want 1000 times 200", &y)
	}
	if asked := len(s.emulator.requests(isIdentityRequest)); asked != 1 {
		t.Errorf("osemu received %d requests for the principal of the token, want 1", asked)
	}
}

// TestARevokedTokenStopsWithinAuthTTL revokes two tokens at the control plane, which
// are refused within AUTH_TTL, and one through the gateway, which is refused at once.
// Reads of a key end with the grant, and statistics, which the gateway answers itself,
// end with the identity. auth.TestYesHoldsForTTL proves the exact time, in fake time.
func TestARevokedTokenStopsWithinAuthTTL(t *testing.T) {
	t.Parallel()
	const statistics = "/api/v1/organizations/org-root"
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("RATE=0", "AUTH_TTL=1s", "CACHE_KEY_TTL=1h", "SECRET="+strings.Repeat("A", 43))
		reader, counter, through := g.as("app-one"), g.as("app-one"), g.as("app-one")
		for target, c := range map[string]client{keyOne: reader, statistics + lastDayQuery("1hour"): counter} {
			c.get(target).is(http.StatusOK)
			c.get(target).is(http.StatusOK)
			client{t: t, base: s.emulator.url + "/us"}.revoke(c.token).is(http.StatusOK)
			eventuallyWithin(t, time.Second, "the token to be refused", func() bool { return c.get(target).status == http.StatusUnauthorized })
		}
		through.get(keyOne).is(http.StatusOK)
		g.client().revoke(through.token).is(http.StatusOK)
		through.get(keyOne).checkRefusal(http.StatusUnauthorized, "bad-token")
	})
}

// revoke revokes a token as its own client would.
func (c client) revoke(token string) *answer {
	c.t.Helper()
	return c.send(http.MethodPost, "/accounts/api/v2/oauth2/revoke", url.Values{"token": {token}}.Encode(),
		"Content-Type: application/x-www-form-urlencoded", "Authorization: Basic YXBwLW9uZTpzZWNyZXQtb25l")
}

// TestKnownTokensAreServedWithoutTheControlPlane makes the control plane fail in four
// ways. Requests with a known token are forwarded for AUTH_STALE, those with an unknown
// token get 503 with Retry-After, and no response calls a token invalid.
func TestKnownTokensAreServedWithoutTheControlPlane(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(http.ResponseWriter, *http.Request){"cut": resetConnection, "fails": answer500, "crowded": answer429, "hangs": answerNever} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, false)
			f := s.controlPlaneProxy()
			g := s.gateway("RATE=0", "AUTH_TTL=1s", "AUTH_STALE=9s", "CACHE_KEY_TTL=0", "UPSTREAM_OVERRIDE="+f.url)
			known, unknown := g.as("app-one"), g.clientWithUnknownToken("app-two")
			known.get(keyOne).is(http.StatusOK)
			f.setFailure(trouble)
			gone := time.Now()
			for served := 0; time.Since(gone) < 3*time.Second || served < 5; served++ {
				a := known.get(keyOne)
				if a.status == http.StatusServiceUnavailable && time.Since(gone) >= 9*time.Second {
					break // possible on a slow machine only
				}
				a.is(http.StatusOK)
				if served%10 == 0 {
					a := unknown.get(keyOne)
					a.checkRefusal(http.StatusServiceUnavailable, "identity-unavailable")
					if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 {
						t.Errorf("Retry-After %q, want seconds", a.header.Get("Retry-After"))
					}
				}
				<-time.After(20 * time.Millisecond)
			}
			eventuallyWithin(t, 10*time.Second-time.Since(gone), "the known identity to grow too old", func() bool {
				a := known.get(keyOne)
				if a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
					t.Errorf("%s: status %d, want 200 or 503", a.request, a.status)
				}
				return a.status == http.StatusServiceUnavailable
			})
			if since := time.Since(gone); since < 9*time.Second {
				t.Errorf("a known token is refused after %v, want AUTH_STALE of 9 s beyond AUTH_TTL", since)
			}
			f.setFailure(nil)
			// A probe without an answer ends after 5 s, and the next one begins 10 s
			// later at the latest.
			eventuallyWithin(t, 15*time.Second, "the next lookup at the control plane", func() bool { return known.get(keyOne).status == http.StatusOK })
			unknown.get(keyOne).is(http.StatusOK)
		})
	}
}

// TestForgedTokenRequestIsChargedToTheClientThatTheControlPlaneNames adds a second
// client ID to the body of a token request, in each way that two servers could
// interpret differently.
func TestForgedTokenRequestIsChargedToTheClientThatTheControlPlaneNames(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=50", "RATE_PERIOD=1h", "RATE_BURST=50", "RATE_MAX_WAIT=0", "CACHE_KEY_TTL=0")
	const form, v2 = "/accounts/oauth2/token", "/accounts/api/v2/oauth2/token"
	remaining := func(c client) int {
		left, err := strconv.Atoi(c.get(keyOne).is(http.StatusOK).header.Get("X-RateLimit-Remaining"))
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	one, two := g.as("app-one"), g.as("app-two")
	for name, mint := range map[string]struct{ path, body, header string }{
		"upper-case twin": {v2, `{"client_id":"app-two","CLIENT_ID":"app-one","client_secret":"secret-two","grant_type":"client_credentials"}`, "Content-Type: application/json"},
		"duplicate key":   {v2, `{"client_id":"app-one","client_id":"app-two","client_secret":"secret-two","grant_type":"client_credentials"}`, "Content-Type: application/json"},
		"duplicate field": {form, "client_id=app-two&client_secret=secret-two&grant_type=client_credentials&client_id=app-one", "Content-Type: application/x-www-form-urlencoded"},
		"query":           {form + "?client_id=app-one", "client_id=app-two&client_secret=secret-two&grant_type=client_credentials", "Content-Type: application/x-www-form-urlencoded"},
	} {
		a := g.client().send(http.MethodPost, mint.path, mint.body, mint.header)
		if a.status != http.StatusOK {
			continue // osemu refuses it: no client is charged
		}
		forged := g.client()
		forged.token = a.token()
		ones, twos := remaining(one), remaining(two)
		theirs := remaining(forged)
		if theirs != ones-1 && theirs != twos-1 {
			t.Errorf("%s: the forged token has %d left, app-one %d and app-two %d", name, theirs, ones, twos)
		}
		var who struct {
			Client struct {
				ID string `json:"client_id"`
			} `json:"client"`
		}
		forged.get("/accounts/api/me").is(http.StatusOK).decode(&who)
		if charged := map[bool]string{true: "app-two", false: "app-one"}[remaining(two) == twos-2]; charged != who.Client.ID {
			t.Errorf("%s: %s was charged for a token of %s", name, charged, who.Client.ID)
		}
	}
}

// TestTokenIsValidInItsOwnPlaneOnly sends a token of the EU plane to the US plane.
func TestTokenIsValidInItsOwnPlaneOnly(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway()
	eu := g.client()
	eu.token = g.mint("app-one", "/eu")
	eu.get("/eu/eu-west-1" + keyOne).is(http.StatusOK)
	eu.get("/us/us-east-1"+keyOne).checkRefusal(http.StatusUnauthorized, "bad-token")
	eu.get("/eu/eu-west-1" + keyOne).is(http.StatusOK)
}

// TestGuessingTokensIsLimited sends wrong tokens and secrets from one address. A client
// with a known token at that address is served, and another address behind the same
// proxy is not affected.
func TestGuessingTokensIsLimited(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("AUTH_FAILURE_RATE=3", "RATE=0", "TRUSTED_PROXIES=127.0.0.0/8,::1/128")
		guesser, neighbor := g.client().with("X-Forwarded-For: 198.51.100.1"), g.client().with("X-Forwarded-For: 198.51.100.2")
		known := g.as("app-one").with("X-Forwarded-For: 198.51.100.1")
		known.get(keyOne).is(http.StatusOK)
		statuses, began := map[int]int{}, time.Now()
		for i := range 40 {
			guesser.token = fmt.Sprintf("guess-%d", i)
			a := guesser.get(keyOne)
			statuses[a.status]++
			if a.status == http.StatusTooManyRequests {
				a.checkRefusal(http.StatusTooManyRequests, "over-quota")
				known.get(keyOne).is(http.StatusOK)
			}
		}
		const rate = 3
		most := rate + 1 + int(rate*time.Since(began).Seconds()) // the request that takes the last unit has no unit left after it
		if statuses[http.StatusUnauthorized] < rate || statuses[http.StatusUnauthorized] > most || len(statuses) != 2 {
			t.Errorf("40 guesses: %v; want from %d to %d times 401, and 429", statuses, rate, most)
		}
		neighbor.token = "a-typo"
		neighbor.get(keyOne).checkRefusal(http.StatusUnauthorized, "bad-token")

		mints := map[int]int{}
		for i := range 40 {
			a := neighbor.send(http.MethodPost, "/accounts/oauth2/token", fmt.Sprintf("client_id=app-one&client_secret=guess-%d&grant_type=client_credentials", i),
				"Content-Type: application/x-www-form-urlencoded")
			mints[a.status]++
		}
		if mints[http.StatusTooManyRequests] == 0 || mints[http.StatusUnauthorized]+mints[http.StatusBadRequest] < 2 {
			t.Errorf("40 guessed secrets: %v; want some refused by the control plane, then 429", mints)
		}
	})
}

// TestManyApplicationsBehindOneAddressGetTokens: 200 applications behind one address
// request tokens at once.
func TestManyApplicationsBehindOneAddressGetTokens(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("AUTH_FAILURE_RATE=1", "RATE=0", "ACCOUNTS_RATE=200")
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			app := []string{"app-one", "app-two", "app-read"}[i%3]
			form := fmt.Sprintf("client_id=%s&client_secret=%s&grant_type=client_credentials", app, "secret-"+strings.TrimPrefix(app, "app-"))
			a, err := g.client().try(http.MethodPost, "/accounts/oauth2/token", form, "Content-Type: application/x-www-form-urlencoded")
			if err != nil || a.status != http.StatusOK {
				t.Errorf("minting for %s: %v, %v", app, a, err)
			}
		})
	}
	all.Wait()
}

// TestXForwardedForOfUntrustedClientsIsIgnored sends wrong tokens with invented
// addresses in X-Forwarded-For.
func TestXForwardedForOfUntrustedClientsIsIgnored(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("AUTH_FAILURE_RATE=3", "RATE=0")
	statuses := map[int]int{}
	for i := range 40 {
		c := g.client().with(fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i))
		c.token = fmt.Sprintf("guess-%d", i)
		statuses[c.get(keyOne).status]++
	}
	if statuses[http.StatusTooManyRequests] == 0 {
		t.Errorf("40 guesses from one address: %v; want 429 among them", statuses)
	}
}

// TestReplicasShareIdentities sends to a second gateway a token that the
// first one has identified.
func TestReplicasShareIdentities(t *testing.T) {
	t.Parallel()
	secret := "SECRET=" + strings.Repeat("A", 43)
	for name, settings := range map[string][]string{"with a secret": {secret}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, true)
			a, b := s.gateway(append(settings, "RATE=0")...), s.gateway(append(settings, "RATE=0")...)
			one := a.clientWithUnknownToken("app-one")
			s.emulator.clearRequests()
			one.get(keyOne).is(http.StatusOK)
			want := 2
			if settings != nil {
				want = 1
				eventually(t, "the identity to be in Redis", func() bool { return strings.Contains(s.redis.keyNames(t), ":identity:") })
			}
			one.via(b).get(keyOne).is(http.StatusOK)
			if asked := len(s.emulator.requests(isIdentityRequest)); asked != want {
				t.Errorf("two gateways sent %d requests to the control plane, want %d", asked, want)
			}
			if keys := s.redis.keyNames(t); strings.Contains(keys, "app-one") || strings.Contains(keys, one.token) {
				t.Errorf("Redis has a client or a token in a key:\n%s", keys)
			}
		})
	}
}

// TestIntrospectionIdentifiesTheSameClients sends the requests of a journey with RFC
// 7662 instead of /accounts/api/me.
func TestIntrospectionIdentifiesTheSameClients(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"seconds": nil, "milliseconds": {"-choose", "introspect-time=milliseconds"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, false, flags...)
			g := s.gateway("AUTH=introspect", "AUTH_CLIENT_ID=app-two", "AUTH_CLIENT_SECRET=secret-two", "RATE=2", "RATE_PERIOD=1h", "RATE_BURST=2", "RATE_MAX_WAIT=0")
			one, two := g.as("app-one"), g.as("app-two")
			one.get(keyOne).is(http.StatusOK)
			one.get(keyOne).is(http.StatusOK)
			one.get(keyOne).checkRefusal(http.StatusTooManyRequests, "over-quota")
			two.get(keyOne).is(http.StatusOK)
			stranger := g.client()
			stranger.token = "an-unminted-token"
			stranger.get(keyOne).checkRefusal(http.StatusUnauthorized, "bad-token")
			if asked := s.emulator.requests(isIdentityRequest); len(asked) > 0 {
				t.Errorf("/accounts/api/me received %d requests although OSGATE_AUTH=introspect", len(asked))
			}
		})
	}
	t.Run("credentials that the control plane refuses are the gateway's own fault", func(t *testing.T) {
		t.Parallel()
		s := newStack(t, false)
		g := s.gateway("AUTH=introspect", "AUTH_CLIENT_ID=app-two", "AUTH_CLIENT_SECRET=wrong")
		g.as("app-one").get(keyOne).checkRefusal(http.StatusServiceUnavailable, "identity-unavailable")
	})
}
