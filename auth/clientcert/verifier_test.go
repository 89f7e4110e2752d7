package clientcert_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/auth/clientcert"
)

func TestACertificateIdentifiesItsCaller(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	r, again := newRig(t, pemOf(ca), nil), newRig(t, pemOf(ca), nil)
	c := ca.issue(t, named(t, "", nil, "spiffe://example.org/app")).Leaf
	caller, err := r.behind(t, c)
	want := auth.Caller{Name: "spiffe://example.org/app", Method: auth.ByMTLS, Issuer: "CN=CA", Expires: c.NotAfter, Hash: caller.Hash}
	if err != nil || caller != want || caller.Hash == [32]byte{} {
		t.Errorf("%+v, %v; want %+v", caller, err, want)
	}
	if same, _ := again.behind(t, c); same.Hash != caller.Hash {
		t.Error("two gateways with one secret have different hashes")
	}
	if other, _ := r.behind(t, ca.issue(t).Leaf); other.Hash == caller.Hash {
		t.Error("two certificates have one hash")
	}
	if r.Recognizes(auth.Credential{}) || !r.Recognizes(auth.Credential{Certificate: c}) {
		t.Error("a credential with a certificate is recognized, no other")
	}
	if _, err := r.Identify(t.Context(), auth.Credential{}); !errors.Is(err, auth.ErrNoToken) {
		t.Errorf("without a certificate: %v", err)
	}
	// Identify alone, without Credential, checks as well.
	if caller, err := again.Identify(t.Context(), auth.Credential{Certificate: ca.issue(t, named(t, "b", nil)).Leaf}); err != nil || caller.Name != "b" {
		t.Errorf("%+v, %v", caller, err)
	}
}

// TestWithoutASecretHashesAreKeyedAtRandom, so that a hash cannot be tried against the
// certificates that an attacker knows.
func TestWithoutASecretHashesAreKeyedAtRandom(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	c := ca.issue(t).Leaf
	var hashes [2][32]byte
	for i := range hashes {
		path := filepath.Join(t.TempDir(), "ca.pem")
		write(t, path, pemOf(ca))
		v, err := clientcert.New(clientcert.Options{CAFile: path})
		if err != nil {
			t.Fatal(err)
		}
		caller, err := v.Identify(t.Context(), auth.Credential{Certificate: c})
		if err != nil {
			t.Fatal(err)
		}
		hashes[i] = caller.Hash
	}
	if hashes[0] == hashes[1] {
		t.Error("two gateways without a secret have the same hash of a certificate")
	}
}

func TestARefusalHasItsReason(t *testing.T) {
	ca, other := newAuthority(t, "CA", nil), newAuthority(t, "CA", nil)
	revoked := ca.issue(t).Leaf
	r := newRig(t, pemOf(ca), ca.crl(t, nil, revoked))
	usage := func(all ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = all }
	}
	valid := func(from, until time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(until)
		}
	}
	for name, tt := range map[string]struct {
		certificate *x509.Certificate
		want        clientcert.Reason
	}{
		"good":                  {ca.issue(t).Leaf, ""},
		"both usages":           {ca.issue(t, usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)).Leaf, ""},
		"no usage at all":       {ca.issue(t, usage()).Leaf, ""},
		"for servers only":      {ca.issue(t, usage(x509.ExtKeyUsageServerAuth)).Leaf, clientcert.ReasonUsage},
		"another CA's":          {other.issue(t).Leaf, clientcert.ReasonUntrusted},
		"expired":               {ca.issue(t, valid(-time.Hour, -time.Minute)).Leaf, clientcert.ReasonExpired},
		"not yet valid":         {ca.issue(t, valid(time.Minute, time.Hour)).Leaf, clientcert.ReasonNotYetValid},
		"revoked":               {revoked, clientcert.ReasonRevoked},
		"without a name":        {ca.issue(t, named(t, "", nil)).Leaf, clientcert.ReasonNoName},
		"another CA's, expired": {other.issue(t, valid(-time.Hour, -time.Minute)).Leaf, clientcert.ReasonExpired},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				caller, err := r.behind(t, tt.certificate)
				if reasonOf(err) != tt.want || (err == nil) != (tt.want == "") || (caller == auth.Caller{}) != (tt.want != "") {
					t.Errorf("%+v, %v; want %q", caller, err, tt.want)
				}
				if err != nil && (!errors.Is(err, auth.ErrBadToken) || !strings.Contains(err.Error(), string(tt.want))) {
					t.Errorf("%v is no refused credential with its reason", err)
				}
			}
			if _, known := r.Known(auth.Credential{Certificate: tt.certificate}); known {
				t.Error("a certificate at an address that was never seen is known")
			}
		})
	}
}

// TestACertificateEndsWithTheFirstOfItsChain although it was accepted before, and
// begins when it is valid.
func TestACertificateEndsWithTheFirstOfItsChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "CA", nil)
		middle := newAuthority(t, "middle", ca) // 48 hours
		r := newRig(t, pemOf(ca), nil)
		c := middle.issue(t, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(100*time.Hour)
		}).Leaf
		want := func(reason clientcert.Reason) {
			t.Helper()
			caller, err := r.behind(t, c, middle.certificate)
			if reasonOf(err) != reason || (err == nil) != (reason == "") {
				t.Errorf("%+v, %v; want %q", caller, err, reason)
			}
			if err == nil && !caller.Expires.Equal(middle.certificate.NotAfter) {
				t.Errorf("expires %v, want %v", caller.Expires, middle.certificate.NotAfter)
			}
		}
		<-time.After(time.Hour - time.Second)
		want(clientcert.ReasonNotYetValid)
		<-time.After(time.Second)
		want("")
		<-time.After(47*time.Hour + time.Second)
		want(clientcert.ReasonExpired)
	})
}

// TestARevokedCertificateIsRefusedAtTheNextRequest at every address and in every
// header, also if a CA between is revoked.
func TestARevokedCertificateIsRefusedAtTheNextRequest(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	middle := newAuthority(t, "middle", ca)
	r := newRig(t, pemOf(ca), ca.crl(t, nil))
	first, second := ca.issue(t).Leaf, middle.issue(t).Leaf
	want := func(a, b clientcert.Reason) {
		t.Helper()
		if _, err := r.behind(t, first); reasonOf(err) != a {
			t.Errorf("%v; want %q", err, a)
		}
		if _, err := r.identify(t, overTLS(fromPeer(clientPeer, nil), first)); reasonOf(err) != a {
			t.Errorf("over TLS: %v; want %q", err, a)
		}
		if _, known := r.Known(auth.Credential{Certificate: first}); known != (a == "") {
			t.Errorf("known: %v", known)
		}
		if _, err := r.behind(t, second, middle.certificate); reasonOf(err) != b {
			t.Errorf("of the CA between: %v; want %q", err, b)
		}
	}
	load := func(crl []byte) {
		t.Helper()
		write(t, r.crl, crl)
		if err := r.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	want("", "")
	load(ca.crl(t, nil, first))
	want(clientcert.ReasonRevoked, "")
	load(append(ca.crl(t, nil, first), ca.crl(t, nil, middle.certificate)...))
	want(clientcert.ReasonRevoked, clientcert.ReasonRevoked)
	load(ca.crl(t, nil)) // a hold that was lifted
	want("", "")
	other := newAuthority(t, "other", nil)
	write(t, r.ca, pemOf(other))
	write(t, r.crl, other.crl(t, nil))
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	want(clientcert.ReasonUntrusted, clientcert.ReasonUntrusted)
}

// TestABetterChainIsTaken although the certificate was refused with another one.
func TestABetterChainIsTaken(t *testing.T) {
	root, newRoot := newAuthority(t, "root", nil), newAuthority(t, "new root", nil)
	middle := newAuthority(t, "middle", root)
	crossed := *middle.certificate
	crossed.SerialNumber = number(t)
	cross := newRoot.sign(t, &crossed, middle.key)
	r := newRig(t, pemOf(root), nil)
	c := middle.issue(t).Leaf
	if _, err := r.behind(t, c, middle.certificate); err != nil {
		t.Fatal(err)
	}
	write(t, r.ca, pemOf(newRoot))
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.behind(t, c, middle.certificate); reasonOf(err) != clientcert.ReasonUntrusted {
		t.Errorf("by the old root: %v", err)
	}
	if _, err := r.behind(t, c, cross); err != nil {
		t.Errorf("by the new root: %v", err)
	}
}

func TestABadFileIsRefusedAndReportedOnce(t *testing.T) {
	ca, other := newAuthority(t, "CA", nil), newAuthority(t, "CA", nil)
	revoked := ca.issue(t).Leaf
	good := ca.crl(t, nil, revoked)
	critical := func(id int, value []byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, id}, Critical: true, Value: value})
		}
	}
	for name, crl := range map[string][]byte{
		"empty":           {},
		"no CRL":          []byte("x"),
		"another PEM":     pemOf(ca),
		"another signer":  other.crl(t, nil, revoked),
		"one of two":      append(ca.crl(t, nil), other.crl(t, nil)...),
		"cut":             good[:len(good)/2],
		"a delta":         ca.crl(t, critical(27, []byte{2, 1, 1})),
		"an indirect one": ca.crl(t, critical(28, []byte{0x30, 3, 0x84, 1, 0xff})),
		"a foreign entry": ca.crl(t, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{5, 0}}}
		}, revoked),
		"an unknown signer": newAuthority(t, "stranger", nil).crl(t, nil),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, pemOf(ca), good)
			write(t, r.crl, crl)
			if err := r.Reload(); err == nil {
				t.Error("it was accepted")
			}
			if _, err := r.behind(t, revoked); reasonOf(err) != clientcert.ReasonRevoked {
				t.Errorf("%v; the former CRL is not in force", err)
			}
			s := r.State()
			if len(*r.changes) != 1 || s.Err == nil || s.Revoked != 1 || s.Since.IsZero() || s.Degraded(time.Now()) == "" {
				t.Errorf("%d reports; state %+v", len(*r.changes), s)
			}
			write(t, r.crl, good)
			if err := r.Reload(); err != nil || r.State().Err != nil || r.State().Degraded(time.Now()) != "" {
				t.Errorf("mended: %v, %+v", err, r.State())
			}
			if _, err := clientcert.New(clientcert.Options{CAFile: r.ca, CRLFile: writeAside(t, r, crl)}); err == nil {
				t.Error("a start with it succeeds")
			}
		})
	}
	for name, file := range map[string][]byte{"empty": {}, "no PEM": []byte("x"), "a CRL": good, "no certificate in it": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})} {
		r := newRig(t, pemOf(ca), nil)
		write(t, r.ca, file)
		if err := r.Reload(); err == nil || r.State().Authorities != 1 {
			t.Errorf("CA file, %s: %v", name, err)
		}
	}
}

func writeAside(t *testing.T, r *rig, text []byte) string {
	t.Helper()
	path := r.crl + ".other"
	write(t, path, text)
	return path
}

// TestACRLMayBeDERAndPartial since what a CRL of a part lists is revoked.
func TestACRLMayBeDERAndPartial(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	revoked := ca.issue(t).Leaf
	block, _ := pem.Decode(ca.crl(t, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x81, 1, 0xff}}}
	}, revoked))
	r := newRig(t, pemOf(ca), block.Bytes)
	if _, err := r.behind(t, revoked); reasonOf(err) != clientcert.ReasonRevoked {
		t.Error(err)
	}
	if bytes.Contains(block.Bytes, []byte("-----")) {
		t.Error("the CRL is not DER")
	}
}

func TestAnOldCRLIsUsedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, other := newAuthority(t, "CA", nil), newAuthority(t, "other", nil)
		revoked := ca.issue(t).Leaf
		in := func(d time.Duration) func(*x509.RevocationList) {
			return func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(d) }
		}
		// An older CRL of the same issuer beside the newer one is no problem.
		r := newRig(t, pemOf(ca, other), bytes.Join([][]byte{ca.crl(t, in(time.Minute)), ca.crl(t, in(time.Hour), revoked), other.crl(t, in(2*time.Hour))}, nil))
		if s := r.State(); !s.NextUpdate.Equal(time.Now().Add(time.Hour)) || s.Degraded(s.NextUpdate) != "" || s.Authorities != 2 {
			t.Errorf("state %+v", s)
		}
		<-time.After(time.Hour + time.Second)
		if r.State().Degraded(time.Now()) == "" {
			t.Error("it is not reported")
		}
		if _, err := r.behind(t, revoked); reasonOf(err) != clientcert.ReasonRevoked {
			t.Error(err)
		}
	})
}

func TestManyCertificatesAreForgottenAndCheckedAgain(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	r := newRig(t, pemOf(ca), nil)
	first := ca.issue(t).Leaf
	if _, err := r.behind(t, first); err != nil {
		t.Fatal(err)
	}
	for range 5000 { // one certificate at many addresses, as on many connections
		same := *first
		if _, err := r.identify(t, overTLS(fromPeer(clientPeer, nil), &same)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.behind(t, first); err != nil {
		t.Error(err)
	}
}

func BenchmarkKnown(b *testing.B) {
	ca := newAuthority(b, "CA", nil)
	r := newRig(b, pemOf(ca), ca.crl(b, nil))
	c := ca.issue(b, named(b, "", nil, "spiffe://example.org/app")).Leaf
	header := []string{item(c)}
	for _, name := range []string{"tls", "header"} {
		b.Run(name, func(b *testing.B) {
			q := fromPeer(proxyPeer, nil)
			if name == "tls" {
				q = overTLS(fromPeer(clientPeer, nil), c)
			}
			b.ReportAllocs()
			for b.Loop() {
				if name == "header" {
					q.Header["Client-Cert"] = header
				}
				got, err := r.Credential(q)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.Identify(b.Context(), auth.Credential{Certificate: got}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			fresh := newRig(b, pemOf(ca), nil)
			b.StartTimer()
			if _, err := fresh.identify(b, fromPeer(proxyPeer, map[string][]string{"Client-Cert": header})); err != nil {
				b.Fatal(err)
			}
		}
	})
}
