package proxy

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"osgate/auth"
	"osgate/ratelimit"
	"osgate/record"
)

// ofIssuer returns the client that brokerRig identifies by the token "jwt-orders@" and
// name.
func ofIssuer(name string) auth.Caller {
	return auth.Caller{Name: "orders", Method: auth.ByJWT, Issuer: "https://issuer" + name}
}

// TestExplainUsesTheKeysOfARequest compares the keys of quota and cache with those of a
// request of the same client.
func TestExplainUsesTheKeysOfARequest(t *testing.T) {
	for name, shared := range map[string]bool{"client": false, "environment": true} {
		t.Run(name, func(t *testing.T) {
			g, _ := brokeredRig(t, quota(10, 1), func(o *Options) { o.SharedScope = shared })
			cacheKeys, quotaKeys := map[string]bool{}, map[string]bool{}
			for _, client := range []auth.Caller{{Name: "orders"}, ofIssuer(""), ofIssuer("two")} {
				x := &exchange{r: request(t, "GET "+keyPath)}
				if err := g.locate(x); err != nil {
					t.Fatal(err)
				}
				x.identity = auth.Identity{Principal: &auth.Principal{
					Plane: "us", Client: "orders", Method: client.Method, Issuer: client.Issuer,
				}}
				g.recordIdentity(x)
				g.setQuestion(x)
				e := g.Explain(request(t, "GET "+keyPath), client)
				if e.CacheKey != g.Cache.Key(x.question) || e.QuotaKey != ratelimit.Key("us", x.quotaName()) {
					t.Errorf("%+v: cache key %s, quota key %s are not those of a request", client, e.CacheKey, e.QuotaKey)
				}
				cacheKeys[e.CacheKey], quotaKeys[e.QuotaKey] = true, true
			}
			want := map[bool]int{false: 3, true: 2}[shared] // with Anypoint's tokens, and without
			if len(cacheKeys) != want || len(quotaKeys) != 3 {
				t.Errorf("%d cache keys and %d quota keys of three clients, want %d and 3", len(cacheKeys), len(quotaKeys), want)
			}
		})
	}
}

func TestExplainNamesTheClientAndItsRule(t *testing.T) {
	rules := `@id("one-issuer") permit(principal == Client::"orders", action in Action::"read", resource)
		when { context.identifiedBy == "jwt" && context has issuer && context.issuer == "https://issuer" };`
	change, _ := ruled(t, rules)
	g, _ := brokeredRig(t, change)
	unknown := auth.Caller{Name: "orders", Method: auth.ByJWT}
	for _, tt := range []struct {
		client            auth.Caller
		name, rule, facts string
	}{
		{ofIssuer(""), "orders by jwt of https://issuer", "one-issuer", ""},
		{ofIssuer("two"), "orders by jwt of https://issuertwo", "default", ""},
		{unknown, "orders by jwt", "default", "issuer"},
		{auth.Caller{Name: "orders"}, "", "default", ""},
	} {
		e := g.Explain(request(t, "GET "+keyPath), tt.client)
		if e.Client != tt.name || e.Rule != tt.rule || e.Facts != tt.facts || (e.Refused == "") != (tt.rule == "one-issuer") {
			t.Errorf("%+v: %+v", tt.client, e)
		}
	}
	if len(g.sent) != 0 {
		t.Error("explaining sent a request upstream")
	}
}

// TestExplainShowsNoKeyThatContainsAnUnknownIssuer: a guess would name another client's
// entry.
func TestExplainShowsNoKeyThatContainsAnUnknownIssuer(t *testing.T) {
	for name, shared := range map[string]bool{"client": false, "environment": true} {
		t.Run(name, func(t *testing.T) {
			g, _ := brokeredRig(t, quota(10, 1), func(o *Options) { o.SharedScope = shared })
			e := g.Explain(request(t, "GET "+keyPath), auth.Caller{Name: "spiffe://a/b", Method: auth.ByMTLS})
			if e.QuotaKey != needsIssuer || (e.CacheKey == needsIssuer) == shared || e.Facts != "" {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestExplainRefusesAManagementCallWithAForeignToken(t *testing.T) {
	g, _ := brokeredRig(t)
	if e := g.Explain(request(t, "GET /accounts/api/me"), ofIssuer("")); e.Status != http.StatusForbidden || e.Code != record.CodeDenied {
		t.Errorf("%+v, want 403 denied as for a request", e)
	}
	if e := g.Explain(request(t, "GET /accounts/api/me"), auth.Caller{Name: "app-one"}); e.Refused != "" {
		t.Errorf("with an Anypoint token: %+v", e)
	}
}

// TestNameOfABrokeredClientIsNoUser even if it has the form of one.
func TestNameOfABrokeredClientIsNoUser(t *testing.T) {
	change, _ := ruled(t, `@id("u") permit(principal == User::"u-1", action, resource); @id("c") permit(principal == Client::"user:u-1", action, resource);`)
	g, _ := brokeredRig(t, change)
	if e := g.Explain(request(t, "GET "+keyPath), auth.Caller{Name: "user:u-1", Method: auth.ByJWT}); e.Rule != "c" {
		t.Errorf("%+v", e)
	}
	if e := g.Explain(request(t, "GET "+keyPath), auth.Caller{Name: "user:u-1"}); e.Rule != "u" {
		t.Errorf("%+v", e)
	}
}

func TestExplainedRefusalContainsTheReason(t *testing.T) {
	e := ExplainRefusal(errors.Join(auth.ErrBadToken, errors.New("expired: its exp has passed")))
	if e.Status != http.StatusUnauthorized || e.Code != record.CodeBadToken || !strings.Contains(e.Refused, "its exp has passed") {
		t.Errorf("%+v", e)
	}
	e = ExplainRefusal(&auth.UnavailableError{Issuer: "https://issuer", Cause: errors.New("no route")})
	if e.Status != http.StatusServiceUnavailable || e.Code != record.CodeIdentityUnavailable || !strings.Contains(e.Refused, "https://issuer") {
		t.Errorf("%+v", e)
	}
}
