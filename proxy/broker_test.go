package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
	"osgate/ratelimit"
	"osgate/record"
)

// brokerRig identifies tokens that begin with "jwt-" and holds the gateway's own token.
type brokerRig struct {
	mu        sync.Mutex
	own       string // the gateway's own token
	err       error  // of Token
	refused   int
	accepted  int
	forbidden []broker.Place
	minted    int
}

func (b *brokerRig) Recall(
	_ context.Context, plane string, c auth.Credential, _ string,
) (auth.Identity, auth.TokenState, bool) {
	name, ok := strings.CutPrefix(c.Token.Text(), "jwt-")
	if !ok {
		return auth.Identity{}, auth.Unknown, false
	}
	id, state := auth.Identity{Hash: [32]byte{7}}, auth.Fresh
	if name == "forged" {
		return id, auth.Unknown, true
	}
	name, issuer, _ := strings.Cut(name, "@")
	id.Principal = &auth.Principal{
		Plane: plane, Client: name, Organizations: []string{"o"}, Method: auth.ByJWT, Issuer: "https://issuer" + issuer,
	}
	return id, state, true
}

func (b *brokerRig) Identify(context.Context, string, auth.Credential, string) (auth.Identity, error) {
	return auth.Identity{}, expiredError{}
}

// expiredError is a refusal with a method and a reason.
type expiredError struct{}

func (expiredError) Error() string                  { return "it has expired" }
func (expiredError) Is(target error) bool           { return target == auth.ErrBadToken }
func (expiredError) Refusal() (auth.Method, string) { return auth.ByJWT, "expired" }

func (b *brokerRig) Token(context.Context, string) (auth.Token, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return auth.NewToken(b.own), b.err
}

func (b *brokerRig) Refused(string, auth.Token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused++
	b.minted++
	b.own = "own-" + itoa(b.minted)
}

func (b *brokerRig) Accepted(string, auth.Token) { b.mu.Lock(); b.accepted++; b.mu.Unlock() }
func (b *brokerRig) Forbidden(_ string, at broker.Place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forbidden = append(b.forbidden, at)
}

// brokeredRig returns a rig whose clients may have no Anypoint credential.
func brokeredRig(t *testing.T, change ...func(*Options)) (*rig, *brokerRig) {
	t.Helper()
	b := &brokerRig{own: "own-0"}
	rules, _ := ruled(t, permitAll)
	return newRig(t, append([]func(*Options){rules, func(o *Options) {
		o.Brokering = &Brokering{Broker: b, Tokens: b, ClientID: "gateway-app"}
	}}, change...)...), b
}

func TestBrokeredRequestCarriesTheGatewaysOwnTokenOnly(t *testing.T) {
	g, b := brokeredRig(t)
	g.get("jwt-orders", keyPath)
	if got := g.sent[0].Header["Authorization"]; len(got) != 1 || got[0] != "Bearer own-0" {
		t.Errorf("upstream got Authorization %q, want the gateway's own token alone", got)
	}
	for name, values := range g.sent[0].Header {
		if strings.Contains(strings.Join(values, " "), "jwt-orders") {
			t.Errorf("the client's own token went upstream in %s", name)
		}
	}
	x := g.last()
	if x.Principal != "orders" || x.IdentifiedBy != "jwt" || x.Issuer != "https://issuer" || x.UpstreamClient != "gateway-app" || b.accepted != 1 {
		t.Errorf("recorded %q by %q of %q as %q, accepted %d", x.Principal, x.IdentifiedBy, x.Issuer, x.UpstreamClient, b.accepted)
	}
	if g.get("one", keyPath); g.sent[1].Header.Get("Authorization") != "Bearer one" || g.last().UpstreamClient != "" {
		t.Errorf("an Anypoint token went upstream as %q by %q, want as it is", g.sent[1].Header.Get("Authorization"), g.last().UpstreamClient)
	}
}

func TestUpstreamThatRefusesTheOwnTokenGetsANewOneOnce(t *testing.T) {
	g, b := brokeredRig(t)
	g.upstream = func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") != "Bearer own-1" {
			return reply(http.StatusUnauthorized, "no"), nil
		}
		return reply(http.StatusOK, "yes"), nil
	}
	w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer jwt-orders", "Content-Type: application/json", "", `{"value":"v"}`))
	if w.Code != http.StatusOK || len(g.sent) != 2 || b.refused != 1 {
		t.Errorf("status %d after %d requests and %d refusals, want 200, 2, 1", w.Code, len(g.sent), b.refused)
	}
	g.upstream = func(*http.Request) (*http.Response, error) { return reply(http.StatusUnauthorized, "no"), nil }
	g.sent = nil
	w = g.get("jwt-orders", keyPath+"2")
	if w.Code != http.StatusBadGateway || codeOf(t, w) != string(record.CodeUpstreamCredential) || len(g.sent) != 2 {
		t.Errorf("status %d, %s after %d requests, want 502 upstream-credential after 2", w.Code, codeOf(t, w), len(g.sent))
	}
	if g.doubted != 0 {
		t.Error("the client's identity is in doubt because upstream refused the gateway's token")
	}
	if strings.Contains(w.Body.String(), "401") || g.last().Cause == "" {
		t.Errorf("the client got %s; the log has the cause %q", w.Body, g.last().Cause)
	}
}

func TestLongBodyIsNotSentTwiceAfterA401(t *testing.T) {
	g, _ := brokeredRig(t)
	g.upstream = func(*http.Request) (*http.Response, error) { return reply(http.StatusUnauthorized, "no"), nil }
	w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer jwt-orders", "", `{"value":"`+strings.Repeat("v", keptBody)+`"}`))
	if w.Code != http.StatusBadGateway || len(g.sent) != 1 {
		t.Errorf("status %d after %d requests, want 502 after one", w.Code, len(g.sent))
	}
}

func TestRefusalOfTheGatewaysRightsIsNeverTheClients(t *testing.T) {
	g, b := brokeredRig(t)
	g.upstream = func(*http.Request) (*http.Response, error) { return reply(http.StatusForbidden, "no scope"), nil }
	w := g.get("jwt-orders", keyPath)
	want := []broker.Place{{Organization: "o", Environment: "e"}}
	if w.Code != http.StatusBadGateway || codeOf(t, w) != string(record.CodeUpstreamCredential) || !slices.Equal(b.forbidden, want) {
		t.Errorf("status %d, %s, %v reported; want 502 upstream-credential, %v", w.Code, codeOf(t, w), b.forbidden, want)
	}
	b.err = &broker.CredentialError{Plane: "us", Cause: errors.New("invalid_client")}
	if w := g.get("jwt-orders", keyPath+"2"); codeOf(t, w) != string(record.CodeUpstreamCredential) {
		t.Errorf("without a token: %d %s, want upstream-credential", w.Code, codeOf(t, w))
	}
	b.err = &auth.UnavailableError{Plane: "us", Cause: errors.New("no answer"), RetryAfter: 3 * time.Second}
	if w := g.get("jwt-orders", keyPath+"3"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "3" {
		t.Errorf("while the token endpoint is away: %d, want 503 with Retry-After", w.Code)
	}
}

func TestHitNeedsNeitherAnOwnTokenNorAGrant(t *testing.T) {
	for name, shared := range map[string]bool{"client": false, "environment": true} {
		t.Run(name, func(t *testing.T) {
			g, b := brokeredRig(t, func(o *Options) { o.SharedScope = shared })
			g.get("jwt-orders", keyPath)
			b.err = errors.New("no token")
			if g.get("jwt-orders", keyPath); !g.last().Hit {
				t.Error("the second read is no hit")
			}
			if g.get("jwt-billing", keyPath); g.last().Hit != shared {
				t.Errorf("another client's read is a hit: %v, want %v", g.last().Hit, shared)
			}
			if g.get("jwt-orders@two", keyPath); g.last().Hit != shared {
				t.Errorf("a client of that name of another issuer gets a hit: %v, want %v", g.last().Hit, shared)
			}
		})
	}
}

func TestBrokeredAnswersAndThoseOfAnypointTokensNeverMeet(t *testing.T) {
	for name, shared := range map[string]bool{"client": false, "environment": true} {
		t.Run(name, func(t *testing.T) {
			g, _ := brokeredRig(t, func(o *Options) { o.SharedScope = shared })
			g.get("one", keyPath)
			if g.get("jwt-app-one", keyPath); g.last().Hit {
				t.Error("a brokered client gets the answer to an Anypoint token")
			}
			g.get("jwt-app-one", keyPath+"2")
			g.get("one", keyPath+"2")
			if g.last().Hit {
				t.Error("an Anypoint token gets the answer to the gateway's own token")
			}
		})
	}
}

func TestClientsOfOneNameDoNotShareAQuota(t *testing.T) {
	g, _ := brokeredRig(t, quota(1, 1), func(o *Options) { o.MaxWait = 0 })
	for i, token := range []string{"one", "jwt-app-one", "jwt-app-one@two"} {
		if w := g.get(token, keyPath+itoa(i)); w.Code != http.StatusOK {
			t.Errorf("%s: status %d, want 200: it is another client", token, w.Code)
		}
	}
	if w := g.get("jwt-app-one", keyPath+"9"); w.Code != http.StatusTooManyRequests {
		t.Errorf("the second request of one client: %d, want 429", w.Code)
	}
}

func TestForgedCredentialIsRefusedWithoutItsReason(t *testing.T) {
	g, _ := brokeredRig(t)
	w := g.get("jwt-forged", keyPath)
	if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "expired") || !strings.Contains(g.last().Cause, "expired") {
		t.Errorf("status %d %s, cause %q; want 401 with the reason in the log alone", w.Code, w.Body, g.last().Cause)
	}
	if len(g.asked) != 0 {
		t.Error("the control plane was asked for a credential of another method")
	}
}

func TestRefusedCredentialsAreCountedByMethodAndReason(t *testing.T) {
	g, _ := brokeredRig(t)
	for range 3 {
		g.get("jwt-forged", keyPath)
	}
	g.get(strings.Repeat("x", 8<<10), "/accounts/api/me")
	g.get("jwt-orders", keyPath)
	g.get("one", keyPath)
	g.do(request(t, "GET "+keyPath)) // no credential is none that is refused
	want := []CredentialRefusal{{auth.ByJWT, "expired", 3}, {"none", "unrecognized", 1}}
	if got := g.CredentialRefusals(); !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestOverlongCredentialIsRefusedForItsLengthAndSentNowhere(t *testing.T) {
	g, _ := brokeredRig(t)
	for _, path := range []string{keyPath, "/accounts/api/me"} {
		w := g.get("jwt-"+strings.Repeat("x", 8<<10), path)
		if w.Code != http.StatusUnauthorized || len(g.sent) != 0 || !strings.Contains(g.last().Cause, "4096 bytes") {
			t.Errorf("%s: status %d after %d requests upstream, cause %q; want 401 without one, for its length",
				path, w.Code, len(g.sent), g.last().Cause)
		}
	}
}

func TestBrokeredClientReadsOnlyTheOrganizationsOfTheGateway(t *testing.T) {
	g, _ := brokeredRig(t)
	w := g.get("jwt-orders", strings.Replace(keyPath, "/organizations/o/", "/organizations/x/", 1))
	if w.Code != http.StatusForbidden || len(g.sent) != 0 {
		t.Errorf("status %d after %d requests upstream, want 403 without one", w.Code, len(g.sent))
	}
}

func TestAccessManagementCallWithAForeignCredentialIsNotForwarded(t *testing.T) {
	g, _ := brokeredRig(t)
	if w := g.get("jwt-orders", "/accounts/api/me"); w.Code != http.StatusForbidden || len(g.sent) != 0 {
		t.Errorf("status %d after %d requests upstream, want 403 without one", w.Code, len(g.sent))
	}
	if w := g.get("one", "/accounts/api/me"); w.Code != http.StatusOK {
		t.Errorf("with an Anypoint token: status %d, want 200", w.Code)
	}
}

func TestWithoutRulesNoBrokeredClientIsServed(t *testing.T) {
	g, _ := brokeredRig(t, func(o *Options) { o.Policy = newRig(t).Policy })
	if w := g.get("jwt-orders", keyPath); w.Code != http.StatusForbidden || len(g.sent) != 0 {
		t.Errorf("status %d, want 403", w.Code)
	}
	if w := g.get("one", keyPath); w.Code != http.StatusOK {
		t.Errorf("an Anypoint token: status %d, want 200", w.Code)
	}
}

func TestRepeatedRequestAfterA401IsCountedByTheBudget(t *testing.T) {
	taken := 0
	g, _ := brokeredRig(t, func(o *Options) {
		o.Budget = ratelimit.Quota{Rate: 100, Period: time.Second, Burst: 100}
		o.Budgeted = func(bool, bool, time.Duration) { taken++ }
	})
	g.upstream = func(*http.Request) (*http.Response, error) { return reply(http.StatusUnauthorized, "no"), nil }
	if g.get("jwt-orders", keyPath); taken != 2 {
		t.Errorf("%d units of the budget for two requests", taken)
	}
}
