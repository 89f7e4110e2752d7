package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/clientcert"
	"osgate/config"
	"osgate/internal/conns"
)

// clientCA writes a CA of clients to a file, and returns its path and certificates that
// it has signed, one for each common name.
func clientCA(t *testing.T, names ...string) (path string, clients []tls.Certificate) {
	t.Helper()
	issue := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) tls.Certificate {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			parent, signer = template, key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	}
	ca := issue(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	key, _ := ca.PrivateKey.(*ecdsa.PrivateKey)
	for i, name := range names {
		clients = append(clients, issue(&x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, ca.Leaf, key))
	}
	path = filepath.Join(t.TempDir(), "clients.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Leaf.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, clients
}

// TestClientCertificatesReachTheHandler through the listener of the gateway, with each
// version of HTTP, also after a resumed handshake. Without one the connection is
// refused only if certificates are required.
func TestClientCertificatesReachTheHandler(t *testing.T) {
	ca, clients := clientCA(t, "app")
	verifier, err := clientcert.New(clientcert.Options{CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile := certificate(t, t.TempDir(), 1)
	for mode, without := range map[tls.ClientAuthType]string{tls.RequireAndVerifyClientCert: "no connection", tls.VerifyClientCertIfGiven: "none"} {
		certs, err := loadCertificates(config.TLS{Cert: cert, Key: keyFile, ClientCA: ca}, mode, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		open, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener := conns.New(open, conns.Options{Limit: 10, TLS: certs.config(), Handshake: 5 * time.Second})
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := verifier.Credential(r)
			name := "none"
			if c != nil {
				var caller auth.Caller
				caller, err = verifier.Identify(r.Context(), auth.Credential{Certificate: c})
				name = caller.Name
			}
			fmt.Fprint(w, r.Proto, " ", name, " ", err)
		})}
		listener.Attach(server)
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { _ = server.Close() })
		for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
			for name, certificates := range map[string][]tls.Certificate{without: nil, "app": clients} {
				transport := &http.Transport{ForceAttemptHTTP2: proto == "HTTP/2.0", TLSClientConfig: &tls.Config{
					InsecureSkipVerify: true, Certificates: certificates, ClientSessionCache: tls.NewLRUClientSessionCache(1),
				}}
				for _, resumed := range []bool{false, true} {
					text := "no connection"
					if answer, err := (&http.Client{Transport: transport}).Get("https://" + open.Addr().String()); err == nil {
						body, _ := io.ReadAll(answer.Body)
						_ = answer.Body.Close()
						if text = string(body); answer.TLS.DidResume != resumed {
							t.Errorf("%v, %s, %s: resumed %v, want %v", mode, proto, name, answer.TLS.DidResume, resumed)
						}
					}
					want := proto + " " + name + " <nil>"
					if name == "no connection" {
						want = name
					}
					if text != want {
						t.Errorf("%v, resumed %v: %q, want %q", mode, resumed, text, want)
					}
					transport.CloseIdleConnections()
				}
			}
		}
	}
}
