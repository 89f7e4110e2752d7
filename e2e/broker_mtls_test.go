package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// clientCA is an authority of client certificates with its revocation list.
type clientCA struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file, crl   string
	serial      int64
}

func newClientCA(t *testing.T) *clientCA {
	t.Helper()
	folder := t.TempDir()
	ca := &clientCA{t: t, serial: 1, file: filepath.Join(folder, "ca.pem"), crl: filepath.Join(folder, "crl.pem")}
	var err error
	if ca.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ca.key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	if ca.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	ca.write(ca.file, "CERTIFICATE", der)
	ca.revoke()
	return ca
}

// write replaces a PEM file as a whole. Its time is an hour ago, so that it is at rest.
func (ca *clientCA) write(path, kind string, der []byte) {
	ca.t.Helper()
	old, text := time.Now().Add(-time.Hour), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	next := path + ".new"
	err := errors.Join(os.WriteFile(next, text, 0o600), os.Chtimes(next, old, old), os.Rename(next, path))
	if err != nil {
		ca.t.Fatal(err)
	}
}

// revoke replaces the revocation list by one of these certificates.
func (ca *clientCA) revoke(certificates ...tls.Certificate) {
	ca.t.Helper()
	list := &x509.RevocationList{
		Number:     big.NewInt(int64(1 + len(certificates))),
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	}
	for _, c := range certificates {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Minute),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.certificate, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	ca.write(ca.crl, "X509 CRL", der)
}

// issue returns a client certificate with a SPIFFE ID.
func (ca *clientCA) issue(id string) tls.Certificate {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	name, err := url.Parse(id)
	if err != nil {
		ca.t.Fatal(err)
	}
	ca.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ca.serial), URIs: []*url.URL{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// tlsGateway is a gateway that serves HTTPS and accepts certificates of a CA.
type tlsGateway struct {
	*gateway
	roots *x509.CertPool
}

// tlsGateway starts a gateway that serves HTTPS and accepts certificates of ca.
func (b *brokering) tlsGateway(t *testing.T, ca *clientCA, settings ...string) tlsGateway {
	t.Helper()
	certFile, keyFile, roots := certificate(t)
	g := b.stack.gateway(b.settings(append([]string{
		"TLS_CERT=" + certFile, "TLS_KEY=" + keyFile, "TLS_CLIENT_CA=" + ca.file, "TLS_CLIENT_CRL=" + ca.crl,
		"AUTH_FAILURE_RATE=1000",
	}, settings...)...)...)
	return tlsGateway{g, roots}
}

// connections counts the connections that a client has opened.
type connections struct {
	http.RoundTripper
	opened atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (c *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			c.opened.Add(1)
		}
	}}
	return c.RoundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

// with returns a client with these certificates, and its connections.
func (g tlsGateway) with(t *testing.T, certificates ...tls.Certificate) (client, *connections) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.roots, Certificates: certificates}}
	t.Cleanup(transport.CloseIdleConnections)
	c := g.client()
	c.httpClient = newHTTPClient(transport)
	opened := &connections{RoundTripper: transport}
	c.httpClient.Transport = opened
	return c, opened
}

// TestARevokedCertificateIsRefusedOnItsOpenConnection identifies clients by the SPIFFE
// IDs of their certificates, over real TLS. When the revocation list has changed, the
// next request on the same connection is refused, and that of another client is not.
func TestARevokedCertificateIsRefusedOnItsOpenConnection(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b, ca := s.brokering(t), newClientCA(t)
	g := b.tlsGateway(t, ca, "AUTH=mtls", "AUTH_ISSUERS=", "AUTH_AUDIENCE=")
	revoked := ca.issue("spiffe://example.com/orders")
	orders, opened := g.with(t, revoked)
	billing, _ := g.with(t, ca.issue("spiffe://example.com/billing"))
	g.checkAccessLog(orders.get(keyOne).is(http.StatusOK), map[string]any{
		"principal": "spiffe://example.com/orders", "identified_by": "mtls", "upstream_client": "app-one",
	})
	eventually(t, "a hit", func() bool { return isHit(orders.get(keyOne).is(http.StatusOK)) })
	written := billing.put("of-billing", "v").succeeded()
	g.checkAccessLog(written, map[string]any{"principal": "spiffe://example.com/billing"})
	ca.revoke(revoked)
	var refused *answer
	eventually(t, "the refusal of the revoked certificate", func() bool {
		refused = orders.get(keyOne)
		return refused.status != http.StatusOK
	})
	refused.checkRefusal(http.StatusUnauthorized, "bad-token")
	g.checkAccessLog(refused, map[string]any{"cause": "client certificate refused: revoked"})
	if n := opened.opened.Load(); n != 1 {
		t.Errorf("the revoked client opened %d connections, want one", n)
	}
	billing.get(keyOne).is(http.StatusOK)
	stranger, _ := g.with(t, newClientCA(t).issue("spiffe://example.com/orders"))
	if a, err := stranger.try(http.MethodGet, keyOne, ""); err == nil {
		t.Errorf("a certificate of another authority: status %d, want no handshake", a.status)
	}
}

// TestCertificatesAndJWTsIdentifyClientsOnOneListener serves both kinds of clients, and
// refuses those with neither. Two clients of one name share no answer.
func TestCertificatesAndJWTsIdentifyClientsOnOneListener(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b, ca := s.brokering(t), newClientCA(t)
	g := b.tlsGateway(t, ca, "AUTH=mtls,jwt")
	certificate := ca.issue("spiffe://example.com/orders")
	none, _ := g.with(t)
	byJWT := none
	byJWT.token = b.issuer.token("billing")
	s.addSecret(byJWT.token)
	g.checkAccessLog(byJWT.get(keyOne).is(http.StatusOK), map[string]any{
		"principal": "billing", "identified_by": "jwt", "issuer": b.issuer.url,
	})
	byCertificate, _ := g.with(t, certificate)
	orders := map[string]any{"principal": "spiffe://example.com/orders", "identified_by": "mtls"}
	g.checkAccessLog(byCertificate.get(keyOne).is(http.StatusOK), orders)
	byCertificate.token = byJWT.token // mtls is the first in the list
	g.checkAccessLog(byCertificate.get(keyOne).is(http.StatusOK), orders)
	eventually(t, "a hit of a certificate", func() bool { return isHit(byCertificate.get(keyOne).is(http.StatusOK)) })
	twin := none
	twin.token = b.issuer.token("spiffe://example.com/orders")
	s.addSecret(twin.token)
	twin.get(keyOne).is(http.StatusOK).checkHit(false)
	none.get(keyOne).checkRefusal(http.StatusUnauthorized, "no-token")
	ca.revoke(certificate)
	eventually(t, "the refusal of the certificate to be final", func() bool {
		return byCertificate.get(keyOne).status == http.StatusUnauthorized
	})
	byJWT.get(keyOne).is(http.StatusOK)
}

// TestAProxyNamesTheClientOfACertificate sends certificates in the header Client-Cert.
// It counts only from a trusted proxy, and goes upstream from nobody.
func TestAProxyNamesTheClientOfACertificate(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b, ca := s.brokering(t), newClientCA(t)
	g := s.gateway(b.settings("AUTH=mtls", "AUTH_ISSUERS=", "AUTH_AUDIENCE=", "TLS_CLIENT_CA="+ca.file,
		"TLS_CLIENT_CRL="+ca.crl, "AUTH_MTLS_HEADER=Client-Cert", "TRUSTED_PROXIES=127.0.0.9/32")...)
	from := func(address string) client {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		transport := &http.Transport{DialContext: dialer.DialContext}
		t.Cleanup(transport.CloseIdleConnections)
		c := g.client()
		c.httpClient = newHTTPClient(transport)
		return c
	}
	certificate := ca.issue("spiffe://example.com/orders")
	header := "Client-Cert: " + clientCertHeader(certificate)
	proxy, stranger := from("127.0.0.9"), from("127.0.0.1")
	g.checkAccessLog(proxy.get(demoKeys+"/KeyTwo", header).is(http.StatusOK), map[string]any{
		"principal": "spiffe://example.com/orders", "identified_by": "mtls", "upstream_client": "app-one",
	})
	stranger.get(keyOne, header).checkRefusal(http.StatusUnauthorized, "no-token")
	stranger.get(keyOne, header, "X-Forwarded-For: 127.0.0.9").checkRefusal(http.StatusUnauthorized, "no-token")
	proxy.get(keyOne).checkRefusal(http.StatusUnauthorized, "no-token")
	proxy.get(keyOne, header, header).checkRefusal(http.StatusUnauthorized, "bad-token")
	foreign := "Client-Cert: " + clientCertHeader(newClientCA(t).issue("spiffe://example.com/orders"))
	refused := proxy.get(keyOne, foreign)
	refused.checkRefusal(http.StatusUnauthorized, "bad-token")
	if cause := g.causeOf(refused); !strings.HasPrefix(cause, "client certificate refused: untrusted") {
		t.Errorf("a certificate of another authority was refused because of %q", cause)
	}
	for _, r := range s.emulator.requests() {
		if r.hasHeader("Client-Cert") || r.hasHeader("Client-Cert-Chain") || r.Target == keyOne {
			t.Errorf("osemu received %s with %v", r.Target, r.Headers)
		}
	}
}
