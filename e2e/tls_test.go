package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHTTPSAndHTTP2AreServed with a certificate from files, and plain HTTP is not.
func TestHTTPSAndHTTP2AreServed(t *testing.T) {
	t.Parallel()
	cert, key, roots := certificate(t)
	g := newStack(t, false).gateway("TLS_CERT="+cert, "TLS_KEY="+key)
	if !strings.HasPrefix(g.url, "https://") {
		t.Fatalf("the clients' listener is at %s, want https", g.url)
	}
	for version, http2 := range map[string]bool{"1.1": false, "2": true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
		t.Cleanup(transport.CloseIdleConnections)
		c := g.client()
		c.httpClient = newHTTPClient(transport)
		minted := c.send(http.MethodPost, "/accounts/oauth2/token", "client_id=app-one&client_secret=secret-one&grant_type=client_credentials",
			"Content-Type: application/x-www-form-urlencoded").is(http.StatusOK)
		c.token = minted.token()
		g.stack.addSecret(c.token)
		if got, want := c.get(keyOne).is(http.StatusOK).header.Get("Via"), version+" osgate"; got != want {
			t.Errorf("HTTP/%s: Via %q, want %q", version, got, want)
		}
	}
	if a := sendRaw(t, g.addr(), rawGET("gateway", keyOne)); a.status != http.StatusBadRequest {
		t.Errorf("plain HTTP on the HTTPS listener: %d, want 400", a.status)
	}
}

// certificate writes a certificate for 127.0.0.1 and these names, and its key, to
// files, and returns the pool of roots that a client must trust.
func certificate(t *testing.T, names ...string) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("making a certificate: %v", err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: names, IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	must(os.WriteFile(certFile, certificate, 0o600))
	must(os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return certFile, keyFile, roots
}
