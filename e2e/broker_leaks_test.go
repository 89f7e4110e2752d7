package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestAJWTIsNeverSentUpstream sends a JWT, whole and damaged, in each place of a
// request that goes upstream, beside Anypoint tokens, which do go there. Every byte
// upstream is searched for its claims and its signature.
func TestAJWTIsNeverSentUpstream(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b, w := s.brokering(t), s.wire()
	g := s.gateway(b.settings("AUTH=anypoint,jwt", "AUTH_FAILURE_RATE=1000", "ACCOUNTS_RATE=1000", "UPSTREAM_OVERRIDE="+w.url)...)
	app := b.client(g, "orders")
	app.get(keyOne).is(http.StatusOK)
	parts := strings.Split(app.token, ".")
	anypoint, none := g.as("app-two"), g.client()
	for name, token := range map[string]string{
		"without a signature": parts[0] + "." + parts[1], "with an empty signature": parts[0] + "." + parts[1] + ".",
		"algorithm none": base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"padded":         app.token + "=", "quoted": `"` + app.token + `"`, "five parts": app.token + ".a.b", "named": "jwt=" + app.token,
	} {
		damaged := none
		damaged.token = token
		for _, path := range []string{keyOne, "/accounts/api/me"} {
			if a := damaged.get(path); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
				t.Errorf("%s: %s answered %d %s", name, path, a.status, a.body)
			}
		}
	}
	for _, value := range []string{
		app.token, "JWT " + app.token, "Bearer" + app.token, "Bearer:" + app.token, "Basic " + app.token,
		"Basic " + base64.StdEncoding.EncodeToString([]byte("orders:"+app.token)),
	} {
		none.get("/accounts/api/me", "Authorization: "+value).checkRefusal(http.StatusForbidden, "denied")
	}
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, a := range []*answer{
		app.get(keyOne + "?access_token=" + app.token), anypoint.get(demoStore + "?access_token=" + app.token),
		anypoint.get("/accounts/api/me?access_token=" + app.token),
		app.get(demoStore, "X-ANYPNT-Token: "+app.token), anypoint.get("/accounts/api/me", "User-Agent: "+app.token),
		none.send(http.MethodPost, "/accounts/api/v2/oauth2/revoke", "token="+app.token, form),
		none.send(http.MethodPost, "/accounts/api/v2/oauth2/token", `{"assertion":"`+app.token+`"}`, "Content-Type: application/json"),
	} {
		a.checkRefusal(http.StatusBadRequest, "bad-request")
	}
	anypoint.get("/accounts/api/me").is(http.StatusOK)
	anypoint.send(http.MethodPost, "/accounts/api/v2/oauth2/revoke", "token="+anypoint.token, form).succeeded()
	requests, _ := w.received()
	if !strings.Contains(requests, anypoint.token) {
		t.Error("no request upstream has the Anypoint token")
	}
	for i, part := range parts[1:] {
		for n, secret := range []string{part, base64.StdEncoding.EncodeToString([]byte("orders:" + app.token))} {
			if strings.Contains(requests, secret) {
				t.Error(fmt.Sprint("part ", i+1, " of the JWT got upstream, in form ", n))
			}
		}
	}
	s.checkNoSecretsWritten(g)
}
