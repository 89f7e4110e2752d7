package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signer is an OIDC issuer that publishes one key.
type signer struct {
	*httptest.Server
	key ed25519.PrivateKey
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, keys) }))
	t.Cleanup(server.Close)
	return &signer{server, private}
}

// token returns a file with a token of s for a client.
func (s *signer) token(t *testing.T, client string, ends time.Time) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{"iss": s.URL, "aud": "osgate", "sub": client, "exp": ends.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	text += "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.key, []byte(text)))
	return fileOf(t, text+"\n")
}

func fileOf(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token.jwt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// brokering returns the environment of a gateway whose clients are identified by these
// methods.
func brokering(t *testing.T, methods, issuers string) []string {
	t.Helper()
	environ := []string{
		"OSGATE_AUTH=" + methods, "OSGATE_UPSTREAM_CLIENT_ID=gateway", "OSGATE_UPSTREAM_CLIENT_SECRET=secret",
		"OSGATE_POLICY=testdata/brokering", "OSGATE_DEFAULT_REGION=us/us-east-1",
	}
	if strings.Contains(methods, "jwt") {
		environ = append(environ, "OSGATE_AUTH_ISSUERS="+issuers, "OSGATE_AUTH_AUDIENCE=osgate")
	}
	if strings.Contains(methods, "mtls") {
		environ = append(environ, "OSGATE_TLS_CLIENT_CA="+authority(t),
			"OSGATE_AUTH_MTLS_HEADER=Client-Cert", "OSGATE_TRUSTED_PROXIES=10.0.0.1/32")
	}
	return environ
}

// authority returns a file with the certificate of an authority.
func authority(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

const explainedKey = "/api/v1/organizations/o/environments/e/stores/s/partitions/p/keys/k"

func TestExplainAsNamesAClientWithoutAnAnypointToken(t *testing.T) {
	const two = "https://one,https://two"
	for _, tt := range []struct {
		methods, issuers, name string
		status                 int
		says                   []string
	}{
		{"jwt", "https://one", "orders", exitOK, []string{"client       orders by jwt of https://one\n", "rule         orders-jwt", "quota key    "}},
		{"jwt", "https://one", "spiffe://shop/orders", exitOK, []string{"rule         orders-spiffe-jwt"}},
		{"jwt", two, "orders", exitOK, []string{"client       orders by jwt\n", "quota key    not known without the client's issuer"}},
		{"jwt", two, "issued", exitFailed, []string{"refused      403 denied", "not known    issuer: rules read"}},
		{"jwt", "https://one", "issued", exitOK, []string{"rule         one-issuer"}},
		{"mtls", "", "orders", exitOK, []string{"client       orders by mtls\n", "rule         orders-cn"}},
		{"jwt,mtls", "https://one", "orders", exitOK, []string{"rule         orders-jwt"}},
		{"jwt,mtls", "https://one", "spiffe://shop/orders", exitOK, []string{"rule         orders-mtls", "cache key    not known"}},
		{"anypoint,jwt", "https://one", "billing", exitFailed, []string{"client       billing by jwt of https://one", "rule         default"}},
	} {
		status, out, complaints := ran(t, brokering(t, tt.methods, tt.issuers), "explain", "-as", tt.name, "GET", explainedKey)
		if status != tt.status {
			t.Errorf("%s as %s: exit %d, %s%s", tt.methods, tt.name, status, out, complaints)
		}
		for _, says := range tt.says {
			if !strings.Contains(out, says) {
				t.Errorf("%s as %s: does not contain %q:\n%s", tt.methods, tt.name, says, out)
			}
		}
	}
}

func TestExplainVerifiesATokenAndNamesItsClient(t *testing.T) {
	s := newSigner(t)
	environ := brokering(t, "jwt", s.URL+"="+s.URL+"/keys")
	good := s.token(t, "orders", time.Now().Add(time.Hour))
	for name, tt := range map[string]struct {
		file   string
		status int
		says   []string
	}{
		"good":    {good, exitOK, []string{"client       orders by jwt of " + s.URL, "rule         orders-jwt"}},
		"denied":  {s.token(t, "billing", time.Now().Add(time.Hour)), exitFailed, []string{"client       billing", "refused      403 denied", "rule         default"}},
		"expired": {s.token(t, "orders", time.Now().Add(-time.Hour)), exitFailed, []string{"refused      401 bad-token", "expired"}},
		"no JWT":  {fileOf(t, "abc"), exitFailed, []string{"refused      401 bad-token", "malformed"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, complaints := ran(t, environ, "explain", "GET", explainedKey, "-jwt", tt.file)
			if status != tt.status {
				t.Errorf("exit %d, %s%s", status, out, complaints)
			}
			for _, says := range tt.says {
				if !strings.Contains(out, says) {
					t.Errorf("does not contain %q:\n%s", says, out)
				}
			}
		})
	}
	s.Close()
	status, out, _ := ran(t, environ, "explain", "GET", explainedKey, "-jwt", good)
	if status != exitFailed || !strings.Contains(out, "refused      503 identity-unavailable") || !strings.Contains(out, s.URL) {
		t.Errorf("without the issuer: exit %d\n%s", status, out)
	}
}

func TestExplainOfAClientThatCannotBeIsMisuse(t *testing.T) {
	anypoint := []string{"OSGATE_DEFAULT_REGION=us/us-east-1"}
	jwt := brokering(t, "anypoint,jwt", "https://one")
	for _, tt := range []struct {
		environ []string
		args    []string
		says    string
	}{
		{anypoint, []string{"-as", "orders"}, "OSGATE_AUTH"},
		{anypoint, []string{"-jwt", "token.jwt"}, "OSGATE_AUTH"},
		{jwt, []string{"-as", "orders", "-token-client", "app"}, "one of -token-client ID, -as NAME and -jwt FILE"},
		{jwt, []string{"-jwt", "token.jwt", "-as", "orders"}, "one of -token-client ID, -as NAME and -jwt FILE"},
		{jwt, []string{"-token-client", "app", "-jwt", "token.jwt"}, "one of -token-client ID, -as NAME and -jwt FILE"},
		{jwt, []string{"-as", ""}, "one of -token-client ID, -as NAME and -jwt FILE"},
		{jwt, []string{"-jwt", "no-such-file"}, "no-such-file"},
		{jwt, []string{"-jwt", fileOf(t, "an-anypoint-token")}, "contains no JWT"},
	} {
		status, out, complaints := ran(t, tt.environ, append([]string{"explain", "GET", explainedKey}, tt.args...)...)
		if status != exitMisuse || out != "" || !strings.Contains(complaints, tt.says) {
			t.Errorf("%q: exit %d, %q, %q; want 2 and %q", tt.args, status, out, complaints, tt.says)
		}
	}
}
