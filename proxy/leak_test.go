package proxy

import (
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"osgate/auth"
	"osgate/record"
)

// leakRig returns a brokered rig in which a text that contains "jwt-" contains a
// credential of the gateway, and a trusted proxy sends certificates in X-Anypnt-Cert.
func leakRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	g, _ := brokeredRig(t, append([]func(*Options){func(o *Options) {
		o.Brokering.Contains = func(text string) bool { return strings.Contains(text, "jwt-") }
		o.Brokering.Certificate = func(r *http.Request) (*x509.Certificate, error) {
			if r.Header.Get("X-Anypnt-Cert") == "broken" {
				return nil, auth.ErrBadToken
			}
			r.Header.Del("X-Anypnt-Cert")
			return nil, nil
		}
	}}, change...)...)
	return g
}

// TestAClientsOwnCredentialGoesUpstreamOnNoWay sends a JWT in every place of a request
// that goes upstream.
func TestAClientsOwnCredentialGoesUpstreamOnNoWay(t *testing.T) {
	const form = "Content-Type: application/x-www-form-urlencoded"
	basic := func(pair string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	}
	for name, tt := range map[string]struct {
		request []string // as for request
		want    record.Code
	}{
		"no scheme":              {[]string{"GET /accounts/api/me", "Authorization: jwt-orders"}, record.CodeDenied},
		"another scheme":         {[]string{"GET /accounts/api/me", "Authorization: Token jwt-orders"}, record.CodeDenied},
		"no space":               {[]string{"GET /accounts/api/me", "Authorization: Bearerjwt-orders"}, record.CodeDenied},
		"a colon":                {[]string{"GET /accounts/api/me", "Authorization: Bearer:jwt-orders"}, record.CodeDenied},
		"Basic without base64":   {[]string{"GET /accounts/api/me", "Authorization: Basic jwt-orders"}, record.CodeDenied},
		"a password":             {[]string{"GET /accounts/api/me", basic("orders:jwt-orders")}, record.CodeDenied},
		"a user":                 {[]string{"GET /accounts/api/me", basic("jwt-orders:")}, record.CodeDenied},
		"in quotation marks":     {[]string{"GET /accounts/api/me", `Authorization: Bearer "jwt-orders"`}, record.CodeDenied},
		"the query of a call":    {[]string{"GET /accounts/api/me?access_token=jwt-orders", "Authorization: Bearer one"}, record.CodeBadRequest},
		"the query of a read":    {[]string{"GET " + keyPath + "?access_token=jwt-orders", "Authorization: Bearer jwt-orders"}, record.CodeBadRequest},
		"an encoded query":       {[]string{"GET " + keyPath + "?a=%6Awt-orders", "Authorization: Bearer jwt-orders"}, record.CodeBadRequest},
		"a header for Anypoint":  {[]string{"GET " + keyPath, "Authorization: Bearer jwt-orders", "X-Anypnt-Token: jwt-orders"}, record.CodeBadRequest},
		"the user agent":         {[]string{"GET " + keyPath, "Authorization: Bearer one", "User-Agent: app jwt-orders"}, record.CodeBadRequest},
		"a revoked token":        {[]string{"POST /accounts/api/v2/oauth2/revoke", form, "", "token=jwt-orders"}, record.CodeBadRequest},
		"an assertion of a mint": {[]string{"POST /accounts/api/v2/oauth2/token", form, "", "client_id=a&assertion=jwt%2Dorders"}, record.CodeBadRequest},
		"a member of a login":    {[]string{"POST /accounts/login", "Content-Type: application/json", "", `{"password":"jwt-orders"}`}, record.CodeBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			g := leakRig(t)
			w := g.do(request(t, tt.request[0], tt.request[1:]...))
			if codeOf(t, w) != string(tt.want) || len(g.sent) != 0 {
				t.Errorf("%d %s after %d requests upstream, want %s without one", w.Code, codeOf(t, w), len(g.sent), tt.want)
			}
		})
	}
}

func TestCallsWithoutACredentialOfTheGatewayPass(t *testing.T) {
	g, received := leakRig(t), ""
	g.upstream = func(r *http.Request) (*http.Response, error) {
		received = ""
		if r.Body != nil {
			body, _ := io.ReadAll(r.Body)
			received = string(body)
		}
		return reply(http.StatusOK, "{}"), nil
	}
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, call := range [][]string{
		{"POST /accounts/api/v2/oauth2/token", form, "", "client_id=a&client_secret=s&grant_type=client_credentials"},
		{"POST /accounts/api/v2/oauth2/token", form, "Authorization: Basic YTpz", "", "grant_type=client_credentials"},
		{"POST /accounts/api/v2/oauth2/revoke", form, "Authorization: Bearer one", "", "token=one"},
		{"GET /accounts/api/me?x=1", "Authorization: Bearer one"},
	} {
		g.sent = nil
		w := g.do(request(t, call[0], call[1:]...))
		if w.Code != http.StatusOK || len(g.sent) != 1 {
			t.Fatalf("%s: status %d after %d requests upstream, want 200 after one", call[0], w.Code, len(g.sent))
		}
		if body := call[len(call)-1]; len(call) > 2 && received != body {
			t.Errorf("%s: the body %q went upstream, want %q", call[0], received, body)
		}
	}
}

// A client with a valid token is refused too: its certificate claims to be another one.
func TestAnInvalidCertificateIsRefused(t *testing.T) {
	g := leakRig(t)
	w := g.do(request(t, "GET "+keyPath, "Authorization: Bearer one", "X-Anypnt-Cert: broken"))
	if w.Code != http.StatusUnauthorized || len(g.sent) != 0 {
		t.Errorf("status %d after %d requests upstream, want 401 without one", w.Code, len(g.sent))
	}
	if got, want := g.CredentialRefusals(), []CredentialRefusal{{"none", "unrecognized", 1}}; !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// TestTheHeaderOfACertificateGoesUpstreamWithNoRequest, not even one that the allow
// list contains.
func TestTheHeaderOfACertificateGoesUpstreamWithNoRequest(t *testing.T) {
	g := leakRig(t)
	for _, path := range []string{keyPath, "/accounts/api/me"} {
		g.do(request(t, "GET "+path, "Authorization: Bearer one", "X-Anypnt-Cert: :AAAA:", "Client-Cert: :AAAA:", "Client-Cert-Chain: :AAAA:"))
		last := g.sent[len(g.sent)-1].Header
		for _, name := range []string{"X-Anypnt-Cert", "Client-Cert", "Client-Cert-Chain"} {
			if values := last[name]; values != nil {
				t.Errorf("%s: %s went upstream as %q", path, name, values)
			}
		}
	}
}
