package clientcert_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth/clientcert"
)

// between returns a certificate of a CA between, signed by above, with this life.
func (a *authority) between(t testing.TB, above *authority, from, until time.Duration) *x509.Certificate {
	t.Helper()
	c := *a.certificate
	c.SerialNumber = number(t)
	c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until)
	return above.sign(t, &c, a.key)
}

// TestTheChainThatEndsLastDecides among those without a revoked certificate, in each
// order.
func TestTheChainThatEndsLastDecides(t *testing.T) {
	one, two := newAuthority(t, "one", nil), newAuthority(t, "two", nil)
	middle := newAuthority(t, "middle", one)
	short, long := middle.between(t, one, -time.Hour, time.Hour), middle.between(t, two, -time.Hour, 2*time.Hour)
	c := middle.issue(t).Leaf
	for range 2 {
		for name, tt := range map[string]struct {
			crl  []byte
			want time.Time
		}{
			"none revoked":      {two.crl(t, nil), long.NotAfter},
			"the long revoked":  {two.crl(t, nil, long), short.NotAfter},
			"the short revoked": {one.crl(t, nil, short), long.NotAfter},
		} {
			r := newRig(t, pemOf(one, two), tt.crl)
			if caller, err := r.behind(t, c, short, long); err != nil || !caller.Expires.Equal(tt.want) {
				t.Errorf("%s: expires %v, %v; want %v", name, caller.Expires, err, tt.want)
			}
		}
		short, long = middle.between(t, two, -time.Hour, time.Hour), middle.between(t, one, -time.Hour, 2*time.Hour)
		one, two = two, one
	}
}

// TestARevokedCertificateOfTheCAFileIsRefused although it is trusted by itself.
func TestARevokedCertificateOfTheCAFileIsRefused(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	c := ca.issue(t).Leaf
	file := append(pemOf(ca), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	if _, err := newRig(t, file, ca.crl(t, nil)).behind(t, c); err != nil {
		t.Error(err)
	}
	if _, err := newRig(t, file, ca.crl(t, nil, c)).behind(t, c); reasonOf(err) != clientcert.ReasonRevoked {
		t.Errorf("revoked: %v", err)
	}
}

// TestARefusalIsRepeatedForTenSeconds on an open connection, and one for the dates of
// the certificate itself only until they are good.
func TestARefusalIsRepeatedForTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "CA", nil)
		middle := newAuthority(t, "middle", ca)
		r := newRig(t, pemOf(ca), nil)
		soon := ca.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(5 * time.Second) }).Leaf
		byMiddle := middle.issue(t).Leaf
		above := middle.between(t, ca, 5*time.Second, time.Hour)
		for _, tt := range []struct {
			wait           time.Duration
			soon, byMiddle bool
		}{{0, false, false}, {5 * time.Second, true, false}, {5*time.Second + time.Millisecond, true, true}} {
			<-time.After(tt.wait)
			if _, err := r.identify(t, overTLS(fromPeer(clientPeer, nil), soon)); (err == nil) != tt.soon {
				t.Errorf("its own date, after %v: %v", tt.wait, err)
			}
			q := fromPeer(clientPeer, nil)
			q.TLS = &tls.ConnectionState{
				PeerCertificates: []*x509.Certificate{byMiddle, above}, VerifiedChains: [][]*x509.Certificate{{byMiddle}},
			}
			if _, err := r.identify(t, q); (err == nil) != tt.byMiddle {
				t.Errorf("the date of the CA between, after %v: %v", tt.wait, err)
			}
		}
	})
}

// TestAKnownCertificateIsReadWithItsWholeHeader: what comes with it is not ignored.
func TestAKnownCertificateIsReadWithItsWholeHeader(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	r := newRig(t, pemOf(ca), nil)
	good := item(ca.issue(t).Leaf)
	chain := slices.Repeat([]string{item(ca.certificate)}, 8)
	padded := good + strings.Repeat(" ", 32<<10-len(good))
	for _, h := range []http.Header{
		{"Client-Cert": {good}}, {"Client-Cert": {padded}}, {"Client-Cert": {good}, "Client-Cert-Chain": chain},
	} {
		if _, err := r.identify(t, fromPeer(proxyPeer, h)); err != nil {
			t.Error(err)
		}
	}
	for name, h := range map[string]http.Header{
		"twice":           {"Client-Cert": {good, good}},
		"a bad chain":     {"Client-Cert": {good}, "Client-Cert-Chain": {":YQ==:"}},
		"a byte too long": {"Client-Cert": {padded + " "}},
		"a chain of nine": {"Client-Cert": {good}, "Client-Cert-Chain": append(chain, chain[0])},
	} {
		if c, err := r.Credential(fromPeer(proxyPeer, h)); c != nil || reasonOf(err) != clientcert.ReasonMalformed {
			t.Errorf("%s: %v, %v; want it refused as malformed", name, c, err)
		}
	}
}

// TestTheLongestNames are names.
func TestTheLongestNames(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	spiffe := "spiffe://" + strings.Repeat("a", 255) + "/b"
	for want, change := range map[string]func(*x509.Certificate){
		spiffe:                   named(t, "", nil, spiffe),
		strings.Repeat("a", 253): named(t, "", []string{strings.Repeat("A", 253)}),
	} {
		if got, err := clientcert.Name(ca.issue(t, change).Leaf); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if got, err := clientcert.Name(ca.issue(t, named(t, "", []string{strings.Repeat("a", 254)})).Leaf); err == nil {
		t.Errorf("a host name of 254 bytes names %q", got)
	}
}

// TestOtherBlocksOfTheFilesAreIgnored, such as a private key beside the certificate.
func TestOtherBlocksOfTheFilesAreIgnored(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	revoked := ca.issue(t).Leaf
	other := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{1}})
	file, crl := [][]byte{other, pemOf(ca), other}, [][]byte{other, ca.crl(t, nil, revoked)}
	r := newRig(t, bytes.Join(file, nil), bytes.Join(crl, nil))
	if s := r.State(); s.Authorities != 1 || s.Revoked != 1 {
		t.Errorf("%+v", s)
	}
}
