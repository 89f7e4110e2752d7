package clientcert_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"osgate/auth"
	"osgate/auth/clientcert"
)

func TestACertificateNamesItsClient(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	dns := []string{"First.example.com", "second.example.com"}
	for want, change := range map[string]func(*x509.Certificate){
		"spiffe://example.org/ns/shop/sa/Cart_1.a-b": named(t, "app", dns, "spiffe://example.org/ns/shop/sa/Cart_1.a-b"),
		"urn:uuid:f81d4fae":                          named(t, "app", dns, "urn:uuid:f81d4fae"),
		"first.example.com":                          named(t, "app", dns),
		"app":                                        named(t, "app", nil),
		"Jürgen, App 1":                              named(t, "Jürgen, App 1", nil),
		"spiffe://a/" + strings.Repeat("x", 2037):    named(t, "", nil, "spiffe://a/"+strings.Repeat("x", 2037)),
	} {
		if got, err := clientcert.Name(ca.issue(t, change).Leaf); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// TestAnUnclearNameIsRefused and another name of the certificate is not used instead.
func TestAnUnclearNameIsRefused(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	dns := []string{"a.example.com"}
	for name, change := range map[string]func(*x509.Certificate){
		"two URIs":                      named(t, "app", dns, "spiffe://a/b", "https://a/b"),
		"SPIFFE without a path":         named(t, "app", dns, "spiffe://a"),
		"SPIFFE with an empty path":     named(t, "app", dns, "spiffe://a/"),
		"SPIFFE with a trailing slash":  named(t, "app", dns, "spiffe://a/b/"),
		"SPIFFE with an empty segment":  named(t, "app", dns, "spiffe://a//b"),
		"SPIFFE with dots":              named(t, "app", dns, "spiffe://a/b/../c"),
		"SPIFFE with a port":            named(t, "app", dns, "spiffe://a:1/b"),
		"SPIFFE with a user":            named(t, "app", dns, "spiffe://u@a/b"),
		"SPIFFE with a query":           named(t, "app", dns, "spiffe://a/b?c"),
		"SPIFFE with an empty query":    named(t, "app", dns, "spiffe://a/b?"),
		"SPIFFE with a fragment":        named(t, "app", dns, "spiffe://a/b#c"),
		"SPIFFE with an escape":         named(t, "app", dns, "spiffe://a/b%2fc"),
		"SPIFFE with a needless escape": named(t, "app", dns, "spiffe://a/%62"),
		"SPIFFE with upper case":        named(t, "app", dns, "spiffe://A/b"),
		"SPIFFE without a domain":       named(t, "app", dns, "spiffe:///b"),
		"SPIFFE without slashes":        named(t, "app", dns, "spiffe:a"),
		"SPIFFE with a long domain":     named(t, "app", dns, "spiffe://"+strings.Repeat("a", 256)+"/b"),
		"a long URI":                    named(t, "app", dns, "spiffe://a/"+strings.Repeat("x", 2038)),
		"a URI without a scheme":        named(t, "app", dns, "//a/b"),
		"a user of Anypoint":            named(t, "app", dns, "user:1"),
		"a wildcard":                    named(t, "app", []string{"*.example.com"}),
		"a DNS name with a space":       named(t, "app", []string{"a b"}),
		"no name":                       named(t, "", nil),
		"a common name of spaces":       named(t, " ", nil),
		"a common name with a newline":  named(t, "a\nb", nil),
		"a common name with a bidi":     named(t, "a\u202eb", nil),
		"a common name like a URI":      named(t, "spiffe://a/b", nil),
		"a common name like a user":     named(t, "user:1", nil),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := clientcert.Name(ca.issue(t, change).Leaf)
			if reasonOf(err) != clientcert.ReasonNoName || !errors.Is(err, auth.ErrBadToken) || got != "" {
				t.Errorf("%q, %v; want a refusal for its name", got, err)
			}
		})
	}
	signing := ca.issue(t, named(t, "", nil, "spiffe://a/b"), func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	if _, err := clientcert.Name(signing.Leaf); reasonOf(err) != clientcert.ReasonUsage {
		t.Errorf("a signing certificate: %v", err)
	}
}
