package clientcert_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// serve starts a server over TLS on a real socket. It answers with the protocol,
// whether the handshake was resumed, and the client's name or the reason of its
// refusal.
func (r *rig) serve(t *testing.T, ca *authority, mode tls.ClientAuthType, version uint16) *httptest.Server {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		caller, err := r.identify(t, q)
		name := caller.Name
		if err != nil {
			name = "refused: " + string(reasonOf(err))
		}
		fmt.Fprintf(w, "%s %v %s", q.Proto, q.TLS.DidResume, name)
	}))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{ClientAuth: mode, ClientCAs: pool, MinVersion: version, MaxVersion: version}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// client returns a client with the certificate, and a function that closes its
// connections; the next request resumes its session.
func client(t *testing.T, s *httptest.Server, h2 bool, certificates ...tls.Certificate) (*http.Client, func()) {
	t.Helper()
	trusted, _ := s.Client().Transport.(*http.Transport)
	config := trusted.TLSClientConfig.Clone()
	config.Certificates, config.ClientSessionCache = certificates, tls.NewLRUClientSessionCache(1)
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: h2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

func get(t *testing.T, c *http.Client, s *httptest.Server) string {
	t.Helper()
	answer, err := c.Get(s.URL)
	if err != nil {
		return "no connection"
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCertificatesOfRealConnections are identified with each version of TLS and HTTP,
// also after a resumed handshake, and refused when they are revoked.
func TestCertificatesOfRealConnections(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for proto, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
			t.Run(tls.VersionName(version)+" "+proto, func(t *testing.T) {
				ca := newAuthority(t, "CA", nil)
				r := newRig(t, pemOf(ca), ca.crl(t, nil))
				s := r.serve(t, ca, tls.VerifyClientCertIfGiven, version)
				own := ca.issue(t, named(t, "", nil, "spiffe://example.org/app"))
				c, reconnect := client(t, s, h2, own)
				want := func(resumed bool, name string) {
					t.Helper()
					if got, want := get(t, c, s), fmt.Sprintf("%s %v %s", proto, resumed, name); got != want {
						t.Errorf("%q, want %q", got, want)
					}
				}
				want(false, "spiffe://example.org/app")
				want(false, "spiffe://example.org/app")
				reconnect()
				want(true, "spiffe://example.org/app")
				write(t, r.crl, ca.crl(t, nil, own.Leaf))
				if err := r.Reload(); err != nil {
					t.Fatal(err)
				}
				want(true, "refused: revoked") // on the open connection
				reconnect()
				want(true, "refused: revoked")
				without, _ := client(t, s, h2)
				if got, want := get(t, without, s), proto+" false refused: "; got != want {
					t.Errorf("without a certificate: %q, want %q", got, want)
				}
			})
		}
	}
}

// TestAHandshakeNeedsACertificate of the CA if it is required; one that is given is
// always verified.
func TestAHandshakeNeedsACertificate(t *testing.T) {
	ca, other := newAuthority(t, "CA", nil), newAuthority(t, "other", nil)
	r := newRig(t, pemOf(ca), nil)
	for mode, without := range map[tls.ClientAuthType]string{tls.RequireAndVerifyClientCert: "no connection", tls.VerifyClientCertIfGiven: "HTTP/1.1 false refused: "} {
		s := r.serve(t, ca, mode, tls.VersionTLS13)
		c, _ := client(t, s, false)
		if got := get(t, c, s); got != without {
			t.Errorf("%v, no certificate: %q, want %q", mode, got, without)
		}
		own := ca.issue(t)
		c, _ = client(t, s, false, own)
		if got := get(t, c, s); got != "HTTP/1.1 false app" {
			t.Errorf("%v: %q", mode, got)
		}
		// A client sends a certificate of another CA only if it ignores the CAs that
		// the server names.
		c, _ = client(t, s, false)
		stranger := other.issue(t)
		transport, _ := c.Transport.(*http.Transport)
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
		if got := get(t, c, s); got != "no connection" {
			t.Errorf("%v, another CA's: %q", mode, got)
		}
	}
}
