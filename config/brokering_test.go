package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// brokered are settings with which clients need no Anypoint credential.
const brokered = "AUTH=jwt AUTH_ISSUERS=https://login.example.com/t AUTH_AUDIENCE=osgate POLICY=rules " +
	"UPSTREAM_CLIENT_ID=own UPSTREAM_CLIENT_SECRET=hunter2"

func TestBrokeringNeedsACredentialAPolicyAndAnAudience(t *testing.T) {
	const byTLS = "AUTH=mtls POLICY=rules UPSTREAM_CLIENT_ID=own UPSTREAM_CLIENT_SECRET=hunter2 TLS_CERT=c TLS_KEY=k"
	without := func(environ, name string) string {
		return strings.Join(slices.DeleteFunc(strings.Fields(environ), func(item string) bool {
			return strings.HasPrefix(item, name+"=")
		}), " ")
	}
	for _, tt := range []struct{ environ, variable, detail string }{
		{without(brokered, "POLICY"), "POLICY", "what no rule permits is denied"},
		{without(brokered, "AUTH_ISSUERS"), "AUTH_ISSUERS", "required by the method jwt"},
		{without(brokered, "AUTH_AUDIENCE"), "AUTH_AUDIENCE", "required by the method jwt"},
		{without(brokered, "UPSTREAM_CLIENT_ID"), "UPSTREAM_CLIENT_ID", "required by the methods jwt and mtls"},
		{without(brokered, "UPSTREAM_CLIENT_SECRET"), "UPSTREAM_CLIENT_SECRET", "required by the methods jwt and mtls"},
		{brokered + " POLICY_SHADOW=true", "POLICY_SHADOW", "want false with the methods jwt and mtls"},
		{"UPSTREAM_CLIENT_ID=own", "UPSTREAM_CLIENT_ID", "has no effect without the method jwt or mtls"},
		{"AUTH_ISSUERS=https://a", "AUTH_ISSUERS", "has no effect without the method jwt"},
		{byTLS, "TLS_CLIENT_CA", "required by the method mtls"},
		{byTLS + " TLS_CLIENT_CA=ca AUTH_MTLS_HEADER=Client-Cert", "AUTH_MTLS_HEADER", "OSGATE_TRUSTED_PROXIES only"},
		{brokered + " AUTH_MTLS_HEADER=Client-Cert", "AUTH_MTLS_HEADER", "has no effect without the method mtls"},
		{"TLS_CLIENT_CRL=crl", "TLS_CLIENT_CRL", "has no effect without OSGATE_TLS_CLIENT_CA"},
		{"AUTH=anypoint,introspect", "AUTH", "want one of them"},
		{"AUTH=jwt,jwt", "AUTH", `"jwt" is given twice`},
		{"AUTH=", "", ""},
		{"AUTH_CLIENT_CLAIM=azp,,sub", "AUTH_CLIENT_CLAIM", "item 2 is empty"},
	} {
		t.Run(tt.environ, func(t *testing.T) {
			_, err := Load(environOf(tt.environ))
			if tt.variable == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), Prefix+tt.variable+": ") ||
				!strings.Contains(err.Error(), tt.detail) {
				t.Errorf("error %v, want %s: …%s…", err, tt.variable, tt.detail)
			}
		})
	}
	for _, environ := range []string{
		brokered, byTLS + " TLS_CLIENT_CA=ca TLS_CLIENT_CRL=crl",
		without(without(byTLS, "TLS_CERT"), "TLS_KEY") + " TLS_CLIENT_CA=ca AUTH_MTLS_HEADER=Client-Cert TRUSTED_PROXIES=10.0.0.0/8",
		strings.Replace(brokered, "AUTH=jwt", "AUTH=anypoint,JWT", 1),
	} {
		if _, err := Load(environOf(environ)); err != nil {
			t.Errorf("%s: %v", environ, err)
		}
	}
}

// environOf returns the environment of settings that are separated by spaces.
func environOf(settings string) (environ []string) {
	for item := range strings.FieldsSeq(settings) {
		environ = append(environ, Prefix+item)
	}
	return environ
}

func TestIssuersAreHTTPSOrOnLoopback(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://login.example.com/tenant/v2.0":      true,
		"https://a=https://b/keys":                   true,
		"http://127.0.0.1:9":                         true,
		"http://[::1]:9=http://localhost:9/jwks":     true,
		"http://login.example.com":                   false,
		"https://a=http://b/keys":                    false,
		"https://u:p@a":                              false,
		"https://a?x=1":                              false,
		"https://a#f":                                false,
		"login.example.com":                          false,
		"https://a,https://a=https://b/keys":         false,
		"https://a,":                                 false,
		"https://kubernetes.default.svc.cluster.lan": true,
	} {
		if _, err := parseIssuers(text); (err == nil) != ok {
			t.Errorf("%s: error %v, want accepted: %v", text, err, ok)
		}
	}
}

func TestSecretFileCanBeReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	c, err := Load(environOf(strings.Replace(brokered, "SECRET=hunter2", "SECRET_FILE="+path, 1)))
	if err != nil {
		t.Fatal(err)
	}
	write("second\n")
	again, err := ReadSecret(c.FileOf("UPSTREAM_CLIENT_SECRET"))
	if c.Upstream.ClientSecret.Reveal() != "first" || err != nil || again.Reveal() != "second" {
		t.Errorf("read %q, then %q and error %v; want first, second", c.Upstream.ClientSecret.Reveal(), again.Reveal(), err)
	}
	if got := c.FileOf("SECRET"); got != "" {
		t.Errorf("the file of a variable without one is %q", got)
	}
}
