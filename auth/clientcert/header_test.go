package clientcert_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"osgate/auth"
	"osgate/auth/clientcert"
)

// overTLS adds a client certificate that the handshake has verified.
func overTLS(q *http.Request, c *x509.Certificate) *http.Request {
	q.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
	return q
}

// TestOnlyATrustedProxySendsACertificateInAHeader and the headers are removed from each
// request.
func TestOnlyATrustedProxySendsACertificateInAHeader(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	r := newRig(t, pemOf(ca), nil)
	own, other := ca.issue(t, named(t, "own", nil)).Leaf, ca.issue(t, named(t, "other", nil)).Leaf
	header := func() http.Header {
		return http.Header{"Client-Cert": {item(other)}, "Client-Cert-Chain": {item(ca.certificate)}, "X-Forwarded-For": {"192.0.2.9"}, "Accept": {"*/*"}}
	}
	for name, tt := range map[string]struct {
		request *http.Request
		want    string // empty: no certificate
	}{
		"a proxy":                     {fromPeer(proxyPeer, header()), "other"},
		"a proxy in IPv6 form":        {fromPeer("[::ffff:192.0.2.1]:1", header()), "other"},
		"a proxy with a certificate":  {overTLS(fromPeer(proxyPeer, header()), own), "other"},
		"a proxy without the header":  {overTLS(fromPeer(proxyPeer, nil), own), ""},
		"a client":                    {fromPeer(clientPeer, header()), ""},
		"a client with a certificate": {overTLS(fromPeer(clientPeer, header()), own), "own"},
		"a client without a header":   {fromPeer(clientPeer, nil), ""},
		"a peer without an address":   {fromPeer("@", header()), ""},
		"a certificate that was not verified": {func() *http.Request {
			q := overTLS(fromPeer(clientPeer, nil), own)
			q.TLS.VerifiedChains = nil
			return q
		}(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := r.Credential(tt.request)
			if err != nil || (c == nil) != (tt.want == "") || c != nil && c.Subject.CommonName != tt.want {
				t.Errorf("%v, %v; want %q", c, err, tt.want)
			}
			for header := range tt.request.Header {
				if strings.HasPrefix(header, "Client-Cert") {
					t.Errorf("the header %s is still there", header)
				}
			}
		})
	}
}

func TestAnotherHeaderMayBeConfigured(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	c := ca.issue(t).Leaf
	file := newRig(t, pemOf(ca), nil).ca
	for _, header := range []string{"", "x-peer"} {
		v, err := clientcert.New(clientcert.Options{CAFile: file, Header: header, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		if err != nil {
			t.Fatal(err)
		}
		q := fromPeer(proxyPeer, http.Header{"Client-Cert": {"x"}, "Client-Cert-Chain": {"x"}, "X-Peer": {item(c)}, "X-Peer-Chain": {item(c)}})
		got, err := v.Credential(q)
		if err != nil || (got != nil) != (header != "") || (len(q.Header) == 2) != (header == "") {
			t.Errorf("header %q: %v, %v, %v", header, got, err, q.Header)
		}
	}
}

func TestAMalformedHeaderIsRefused(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	r := newRig(t, pemOf(ca), nil)
	good := item(ca.issue(t).Leaf)
	for name, h := range map[string]http.Header{
		"twice":               {"Client-Cert": {good, good}},
		"two items":           {"Client-Cert": {good + ", " + good}},
		"an empty one":        {"Client-Cert": {""}},
		"no colons":           {"Client-Cert": {strings.Trim(good, ":")}},
		"one colon":           {"Client-Cert": {":"}},
		"a parameter":         {"Client-Cert": {good + ";a=1"}},
		"a line break":        {"Client-Cert": {good[:9] + "\r\n" + good[9:]}},
		"no base64":           {"Client-Cert": {":%:"}},
		"no padding":          {"Client-Cert": {":YQ:"}},
		"bits left over":      {"Client-Cert": {":YR==:"}},
		"no certificate":      {"Client-Cert": {":YQ==:"}},
		"more bytes":          {"Client-Cert": {item(&x509.Certificate{Raw: append(ca.issue(t).Leaf.Raw, 0)})}},
		"PEM of other makers": {"Client-Cert": {"-----BEGIN%20CERTIFICATE-----"}},
		"too long":            {"Client-Cert": {":" + strings.Repeat("A", 32<<10) + ":"}},
		"a malformed chain":   {"Client-Cert": {good}, "Client-Cert-Chain": {":YQ==:"}},
		"a long chain":        {"Client-Cert": {good}, "Client-Cert-Chain": {strings.Repeat(item(ca.certificate)+",", 8) + item(ca.certificate)}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := r.Credential(fromPeer(proxyPeer, h))
			if c != nil || reasonOf(err) != clientcert.ReasonMalformed {
				t.Errorf("%v, %v; want it refused as malformed", c, err)
			}
		})
	}
}

// TestAChainArrivesWithACertificate in one header or several.
func TestAChainArrivesWithACertificate(t *testing.T) {
	root := newAuthority(t, "root", nil)
	middle := newAuthority(t, "middle", root)
	low := newAuthority(t, "low", middle)
	c := low.issue(t).Leaf
	r := newRig(t, pemOf(root), nil)
	if _, err := r.behind(t, c); reasonOf(err) != clientcert.ReasonUntrusted {
		t.Errorf("without a chain: %v", err)
	}
	caller, err := r.behind(t, c, low.certificate, middle.certificate)
	if err != nil || caller.Name != "app" || caller.Issuer != "CN=low" {
		t.Errorf("with a chain: %+v, %v", caller, err)
	}
	h := http.Header{"Client-Cert": {item(c)}, "Client-Cert-Chain": {item(low.certificate), item(middle.certificate)}}
	if caller, err := r.identify(t, fromPeer(proxyPeer, h)); err != nil || caller.Method != auth.ByMTLS {
		t.Errorf("with a chain on two lines: %+v, %v", caller, err)
	}
}
