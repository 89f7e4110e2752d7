package main

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
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// httpsAdmin starts an admin listener with a new certificate, which has expired if
// expired is set. It returns the listener's address and the certificate's file.
func httpsAdmin(t *testing.T, template x509.Certificate) (address, certFile string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	certFile = filepath.Join(t.TempDir(), "cert.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	overview, err := os.ReadFile(overviewFile)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(overview)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), certFile
}

// lasting returns a template that is valid from an hour ago for a duration.
func lasting(d time.Duration, names []string, ips ...net.IP) x509.Certificate {
	from := time.Now().Add(-time.Hour)
	return x509.Certificate{NotBefore: from, NotAfter: from.Add(d), DNSNames: names, IPAddresses: ips}
}

// TestOwnAdminListenerIsVerifiedByItsCertificateFile checks that the certificate file
// of the configuration decides, whatever the address, and however old it is.
func TestOwnAdminListenerIsVerifiedByItsCertificateFile(t *testing.T) {
	loopback := net.IPv4(127, 0, 0, 1)
	_, other := httpsAdmin(t, lasting(2*time.Hour, []string{"osgate.example"}))
	for name, template := range map[string]x509.Certificate{
		"of a name":  lasting(2*time.Hour, []string{"osgate.example"}),
		"wildcard":   lasting(2*time.Hour, []string{"*.osgate.example"}),
		"of an IP":   lasting(2*time.Hour, nil, net.IPv4(192, 0, 2, 1), loopback),
		"of the day": lasting(time.Minute, []string{"osgate.example"}), // has expired
	} {
		t.Run(name, func(t *testing.T) {
			address, cert := httpsAdmin(t, template)
			environ := func(cert string) []string {
				return []string{
					"OSGATE_ADMIN_LISTEN=" + address, "OSGATE_ADMIN_TLS_CERT=" + cert, "OSGATE_ADMIN_TLS_KEY=/not/read",
				}
			}
			for _, command := range []string{"healthcheck", "top"} {
				if status, out, complaints := ran(t, environ(cert), command); status != exitOK || out == "" {
					t.Errorf("%s: exit %d, %s, want 0", command, status, complaints)
				}
				status, _, complaints := ran(t, environ(other), command)
				if status != exitFailed || !strings.Contains(complaints, "certificate") {
					t.Errorf("%s with another certificate: exit %d, %s, want 1", command, status, complaints)
				}
			}
		})
	}
}

func TestUnusableAdminCertificateFileIsMisuse(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, nameless := httpsAdmin(t, lasting(time.Hour, nil))
	for file, says := range map[string]string{
		empty: "no PEM certificate", "/not/there": "no such file", nameless: "DNS name",
	} {
		for _, command := range []string{"healthcheck", "top"} {
			environ := []string{"OSGATE_ADMIN_TLS_CERT=" + file, "OSGATE_ADMIN_TLS_KEY=k"}
			status, _, complaints := ran(t, environ, command)
			if status != exitMisuse || !strings.Contains(complaints, "OSGATE_ADMIN_TLS_CERT cannot be used: ") ||
				!strings.Contains(complaints, says) {
				t.Errorf("%s with %s: exit %d, %s", command, file, status, complaints)
			}
		}
	}
}

// TestTopVerifiesAnotherGatewayByName checks that -admin URL is verified as any HTTPS
// server, by the system's authorities and that of -ca.
func TestTopVerifiesAnotherGatewayByName(t *testing.T) {
	address, cert := httpsAdmin(t, lasting(2*time.Hour, nil, net.IPv4(127, 0, 0, 1)))
	status, _, complaints := ran(t, nil, "top", "-admin", "https://"+address, "-ca", cert)
	if status != exitOK {
		t.Errorf("with its CA: exit %d, %s, want 0", status, complaints)
	}
	elsewhere, foreign := httpsAdmin(t, lasting(2*time.Hour, []string{"osgate.example"}))
	for _, args := range [][]string{
		{"https://" + address}, {"https://" + elsewhere, "-ca", foreign}, {"https://" + address, "-ca", foreign},
	} {
		status, _, complaints := ran(t, nil, append([]string{"top", "-admin"}, args...)...)
		if status != exitFailed || !strings.Contains(complaints, "certificate") {
			t.Errorf("%q: exit %d, %s, want 1", args, status, complaints)
		}
	}
	for _, args := range [][]string{{"-ca", cert}, {"-admin", "https://" + address, "-ca", "/not/there"}} {
		status, _, complaints := ran(t, nil, append([]string{"top"}, args...)...)
		if status != exitMisuse || !strings.Contains(complaints, "-ca") {
			t.Errorf("%q: exit %d, %s, want 2", args, status, complaints)
		}
	}
}
