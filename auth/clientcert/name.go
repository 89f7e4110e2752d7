package clientcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the maximum length of a client's name in bytes: that of a SPIFFE ID
// (SPIFFE-ID section 2.3).
const MaxName = 2048

const (
	maxTrustDomain = 255 // SPIFFE-ID section 2.3
	maxHost        = 253 // RFC 1035 section 2.3.4, as text
	spiffeScheme   = "spiffe"
)

// Name returns the name of the client that a certificate identifies: the URI SAN, or if
// there is none the first DNS SAN in lower case, or if there is none the common name. A
// SAN that is no valid name is refused, and the next kind is not used instead. The
// certificate must be verified already.
//
// A certificate with several URI SANs is refused, as X.509-SVID section 2 requires, and
// a SPIFFE ID must be that of a workload (section 5.2). A common name with "://" is
// refused, so that it cannot be taken for a URI, and so is each name that begins with
// "user:", which is how users of Anypoint are named. Errors are *[RefusedError].
func Name(c *x509.Certificate) (string, error) {
	var name string
	var err error
	switch {
	case len(c.URIs) > 1:
		err = errors.New("more than one URI SAN")
	case len(c.URIs) == 1:
		name = c.URIs[0].String()
		if c.URIs[0].Scheme == spiffeScheme {
			if signs(c) {
				return "", refuse(ReasonUsage, errors.New("a signing certificate authenticates no workload"))
			}
			err = checkSPIFFE(c.URIs[0])
		} else if c.URIs[0].Scheme == "" {
			err = errors.New("the URI SAN has no scheme")
		}
	case len(c.DNSNames) > 0:
		name = strings.ToLower(c.DNSNames[0])
		err = checkHost(name)
	default:
		name = c.Subject.CommonName
		if strings.Contains(name, "://") {
			err = errors.New("the common name resembles a URI")
		}
	}
	if err == nil {
		err = checkText(name)
	}
	if err != nil {
		return "", refuse(ReasonNoName, err)
	}
	return name, nil
}

// signs reports whether c may sign certificates or CRLs (X.509-SVID section 5.2).
func signs(c *x509.Certificate) bool {
	return c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0
}

// checkText returns an error if name has no text, too much of it, or invisible
// characters.
func checkText(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("neither a URI SAN, a DNS SAN nor a common name")
	case len(name) > MaxName:
		return fmt.Errorf("the name is longer than %d bytes", MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, hidden):
		return errors.New("the name contains control characters")
	case strings.HasPrefix(name, "user:"):
		return errors.New("the name resembles a user of Anypoint")
	}
	return nil
}

// hidden reports whether r is a control or formatting character, or a line separator.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// checkSPIFFE returns an error if u is no SPIFFE ID of a workload: a trust domain and a
// path of segments, no other part of a URI (SPIFFE-ID section 2). The characters are
// those of go-spiffe: no percent-encoding.
func checkSPIFFE(u *url.URL) error {
	rest, ok := strings.CutPrefix(u.String(), spiffeScheme+"://")
	if !ok {
		return errors.New("the SPIFFE ID has no trust domain")
	}
	domain, path, _ := strings.Cut(rest, "/")
	switch {
	case domain == "" || len(domain) > maxTrustDomain || strings.ContainsFunc(domain, notInDomain):
		return errors.New("the SPIFFE ID has an invalid trust domain")
	case path == "":
		return errors.New("the SPIFFE ID has no path")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, notInSegment) {
			return errors.New("the SPIFFE ID has an invalid path")
		}
	}
	return nil
}

func notInDomain(r rune) bool {
	return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' || r == '-' || r == '_')
}

func notInSegment(r rune) bool { return notInDomain(r) && !('A' <= r && r <= 'Z') }

// checkHost returns an error if name, in lower case, is no host name. A wildcard names
// no single client.
func checkHost(name string) error {
	if name == "" || len(name) > maxHost || strings.ContainsFunc(name, notInDomain) {
		return errors.New("the first DNS SAN is no host name")
	}
	return nil
}
