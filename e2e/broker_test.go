package e2e

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestAppsWithAJWTUseObjectStoreWithoutAnAnypointCredential writes and reads as a
// client that has only a JWT. The JWT never gets upstream, and the gateway's own token
// never gets to the client: every request upstream, and every answer, page and log line
// is searched.
func TestAppsWithAJWTUseObjectStoreWithoutAnAnypointCredential(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		b, w := s.brokering(t), s.wire()
		traces := startCollector(t)
		g := s.gateway(exportSettings(traces.http, "http/protobuf",
			b.settings("UPSTREAM_OVERRIDE="+w.url, "LOG_LEVEL=debug", "TRUSTED_PROXIES=127.0.0.0/8")...)...)
		app := b.client(g, "orders")
		app.get(demoKeys+"/traced", traceparent(traceMiss)).is(http.StatusNotFound)
		answers := b.use(app)
		span, _ := traces.awaitTrace(traceMiss)
		for key, want := range map[string]string{
			"osgate.client.identified_by": "jwt", "osgate.upstream_client": "app-one",
		} {
			if got := attribute(span.GetAttributes(), key); got != want {
				t.Errorf("%s of the span is %q, want %q", key, got, want)
			}
		}
		page := client{t: t, base: g.admin}
		for _, path := range []string{"/metrics", "/config", "/readyz"} {
			answers = append(answers, page.get(path).is(http.StatusOK))
		}
		requests, own := w.received()
		if len(own) == 0 || !strings.Contains(requests, "Authorization: Bearer "+own[0]) {
			t.Fatalf("%d tokens were minted; no request upstream has the first", len(own))
		}
		for i, part := range strings.Split(app.token, ".") {
			if strings.Contains(requests, part) {
				t.Errorf("part %d of the JWT got upstream", i)
			}
		}
		for _, secret := range append(own, "secret-one") {
			for _, a := range answers {
				if strings.Contains(fmt.Sprint(a.header)+a.body, secret) {
					t.Errorf("%s: the answer has a secret of the gateway: %v\n%s", a.request, a.header, a.body)
				}
			}
			if s.redis != nil && strings.Contains(s.redis.keyNames(t), secret) {
				t.Error("the name of a key in Redis has a secret of the gateway")
			}
		}
		if attribute(span.GetAttributes(), "osgate.policy.rule") == "" {
			t.Error("the span names no rule")
		}
		traces.checkNoSecrets(append(own, "secret-one", app.token)...)
		s.checkNoSecretsWritten(g)
	})
}

// use sends requests of all kinds and outcomes as c, and returns the answers. Writes
// and reads must succeed.
func (b *brokering) use(c client) (all []*answer) {
	b.t.Helper()
	path := demoKeys + "/of-orders"
	all = append(all, c.put("of-orders", "a value").succeeded())
	eventually(b.t, "a hit", func() bool {
		a := c.get(path).is(http.StatusOK)
		all = append(all, a)
		return isHit(a) && strings.Contains(a.body, "a value")
	})
	for _, path := range []string{demoKeys, demoStore, demoKeys + "/absent", prodStores} {
		all = append(all, c.get(path))
	}
	other := c.get("/api/v1/organizations/org-other/environments/env-other/stores").is(http.StatusForbidden)
	call := c.get("/accounts/api/me")
	call.checkRefusal(http.StatusForbidden, "denied")
	long := c
	long.token += strings.Repeat("x", 8<<10)
	refused := long.get("/accounts/api/me")
	refused.checkRefusal(http.StatusUnauthorized, "bad-token")
	all = append(all, other, call, refused, c.send(http.MethodDelete, path, "").succeeded())
	for _, fault := range []string{"500=1", "reset=1"} {
		b.stack.emulator.setFault("", fault)
		all = append(all, c.get(demoKeys+"/KeyTwo"), c.send(http.MethodTrace, path, ""))
	}
	b.stack.emulator.setFault("", "")
	b.stack.emulator.setScopes("app-one")
	forbidden := c.get(demoKeys + "/KeyTwo?confirmable=true")
	forbidden.checkRefusal(http.StatusBadGateway, "upstream-credential")
	b.stack.emulator.setScopes("app-one", "manage:store_data")
	return append(all, forbidden)
}

// TestEachFaultOfAJWTIsRefusedForItsOwnReason sends tokens with one fault each. The
// answer is always 401, and the log has another cause for each.
func TestEachFaultOfAJWTIsRefusedForItsOwnReason(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b := s.brokering(t)
	g := s.gateway(b.settings("AUTH_FAILURE_RATE=1000")...)
	b.client(g, "orders").get(keyOne).is(http.StatusOK)
	s.emulator.clearRequests()
	causes := map[string]string{}
	for name, token := range b.faultyTokens() {
		s.addSecret(token)
		c := g.client()
		c.token = token
		a := c.get(keyOne)
		a.checkRefusal(http.StatusUnauthorized, "bad-token")
		cause := g.causeOf(a)
		if cause == "" || strings.Contains(a.body, cause) {
			t.Errorf("%s: the log has the cause %q; the answer is %s", name, cause, a.body)
		}
		if other, ok := causes[cause]; ok {
			t.Errorf("%s and %s have the same cause, %q", name, other, cause)
		}
		causes[cause] = name
	}
	if n := len(s.emulator.requests()); n != 0 {
		t.Errorf("osemu received %d requests because of refused tokens", n)
	}
}

// causeOf waits for the access line of an answer and returns its cause.
func (g *gateway) causeOf(a *answer) (cause string) {
	g.t.Helper()
	eventually(g.t, "the access line of "+a.request, func() bool {
		for _, line := range g.accessLines(a.status) {
			if line["request_id"] == a.header.Get("X-Request-Id") {
				cause, _ = line["cause"].(string)
				return true
			}
		}
		return false
	})
	return cause
}

// faultyTokens returns tokens with one fault each, by the names of the faults.
func (b *brokering) faultyTokens() map[string]string {
	b.t.Helper()
	is, k := b.issuer, b.issuer.keys[0]
	with := func(changes jwt.MapClaims) string { return k.token(b.t, is.claims("orders", changes)) }
	good := is.claims("orders", nil)
	impostor := newSigningKey(b.t, k.id)
	return map[string]string{
		"audience":      with(jwt.MapClaims{"aud": "https://other.example"}),
		"issuer":        with(jwt.MapClaims{"iss": "http://127.0.0.1:1"}),
		"expired":       with(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}),
		"not yet valid": with(jwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()}),
		"no client":     with(jwt.MapClaims{"azp": 7, "sub": nil}),
		"8 KB":          with(jwt.MapClaims{"padding": strings.Repeat("x", 6000)}),
		"unknown key":   newSigningKey(b.t, "key-2").token(b.t, good),
		"signature":     impostor.token(b.t, good),
		"HMAC":          signedToken(b.t, jwt.SigningMethodHS256, k.id, []byte(k.id), good),
		"no JWT":        "an-opaque-token",
	}
}

// TestTheAlgorithmOfAJWTIsNotTheTokensChoice sends tokens whose header names an
// algorithm that needs no private key.
func TestTheAlgorithmOfAJWTIsNotTheTokensChoice(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b := s.brokering(t)
	g := s.gateway(b.settings()...)
	k, claims := b.issuer.keys[0], b.issuer.claims("orders", nil)
	public, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"none":                signedToken(t, jwt.SigningMethodNone, k.id, jwt.UnsafeAllowNoneSignatureType, claims),
		"HMAC of public key":  signedToken(t, jwt.SigningMethodHS256, k.id, public, claims),
		"HMAC of other bytes": signedToken(t, jwt.SigningMethodHS256, k.id, []byte(k.id), claims),
	} {
		c := g.client()
		c.token = token
		a := c.get(keyOne)
		a.checkRefusal(http.StatusUnauthorized, "bad-token")
		// A token with the algorithm none has no signature: it is no JWT, and has no other cause.
		if cause := g.causeOf(a); !strings.Contains(cause, "algorithm") && name != "none" {
			t.Errorf("%s: the log has the cause %q, want the algorithm", name, cause)
		}
	}
}
