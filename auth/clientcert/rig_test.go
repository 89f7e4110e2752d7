package clientcert_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/clientcert"
)

// authority is a CA that the test has made.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority returns a CA, signed by above or, if that is nil, by itself.
func newAuthority(t testing.TB, name string, above *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, certificate: &x509.Certificate{
		SerialNumber: number(t), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}}
	if above == nil {
		above = a
	}
	a.certificate = above.sign(t, a.certificate, key)
	return a
}

func number(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (a *authority) sign(t testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue returns a certificate for a client named app, changed by change.
func (a *authority) issue(t testing.TB, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: number(t), Subject: pkix.Name{CommonName: "app"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
	}
	for _, c := range change {
		c(template)
	}
	leaf := a.sign(t, template, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// named sets the names of a certificate.
func named(t testing.TB, common string, dns []string, uris ...string) func(*x509.Certificate) {
	t.Helper()
	return func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = common, dns
		for _, text := range uris {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

// crl returns a CRL in PEM that lists the certificates.
func (a *authority) crl(t testing.TB, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	if change != nil {
		change(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func pemOf(all ...*authority) []byte {
	var b bytes.Buffer
	for _, a := range all {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	}
	return b.Bytes()
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rig is a Verifier with its files. It trusts the header of 192.0.2.0/24.
type rig struct {
	*clientcert.Verifier
	ca, crl string
	changes *[]clientcert.State
}

// newRig returns a Verifier of the CA, without a CRL if crl is nil.
func newRig(t testing.TB, ca, crl []byte) *rig {
	t.Helper()
	folder := t.TempDir()
	r := &rig{ca: filepath.Join(folder, "ca.pem"), changes: new([]clientcert.State)}
	write(t, r.ca, ca)
	if crl != nil {
		r.crl = filepath.Join(folder, "crl.pem")
		write(t, r.crl, crl)
	}
	var err error
	r.Verifier, err = clientcert.New(clientcert.Options{
		CAFile: r.ca, CRLFile: r.crl, Header: "client-cert", Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Secret: []byte("secret"), OnChange: func(s clientcert.State) { *r.changes = append(*r.changes, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	proxyPeer  = "192.0.2.1:1234"
	clientPeer = "198.51.100.1:1234"
)

// fromPeer returns a request of a connection from peer.
func fromPeer(peer string, header http.Header) *http.Request {
	if header == nil {
		header = http.Header{}
	}
	return &http.Request{RemoteAddr: peer, Header: header}
}

// item returns certificates in the form of RFC 9440.
func item(certificates ...*x509.Certificate) (text string) {
	for i, c := range certificates {
		if i > 0 {
			text += ", "
		}
		text += ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":"
	}
	return text
}

// identify returns the caller of a request as the gateway finds it.
func (r *rig) identify(t testing.TB, q *http.Request) (auth.Caller, error) {
	t.Helper()
	c, err := r.Credential(q)
	if err != nil {
		return auth.Caller{}, err
	}
	return r.Identify(t.Context(), auth.Credential{Certificate: c})
}

// behind returns the caller of a certificate that the trusted proxy has sent.
func (r *rig) behind(t testing.TB, c *x509.Certificate, chain ...*x509.Certificate) (auth.Caller, error) {
	t.Helper()
	h := http.Header{"Client-Cert": {item(c)}}
	if len(chain) > 0 {
		h["Client-Cert-Chain"] = []string{item(chain...)}
	}
	return r.identify(t, fromPeer(proxyPeer, h))
}

// reasonOf returns why err refuses a certificate; empty if err is no
// *[clientcert.RefusedError].
func reasonOf(err error) clientcert.Reason {
	if refused, ok := errors.AsType[*clientcert.RefusedError](err); ok {
		return refused.Reason
	}
	return ""
}
