package clientcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"osgate/internal/watch"
)

// The maximum sizes of the files in bytes. A CRL of this size lists some 400,000
// certificates.
const (
	maxCAFile  = 4 << 20
	maxCRLFile = 16 << 20
)

// trust is the content of the CA file and the CRL file. It is immutable.
type trust struct {
	roots       *x509.CertPool
	authorities int
	revoked     revocations
	loaded      time.Time
}

// readFiles reads the CA file and, if it has a path, the CRL file.
func readFiles(caFile, crlFile string) ([]watch.File, error) {
	ca, err := watch.ReadFile(caFile, maxCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the CA file: %w", err)
	}
	if crlFile == "" {
		return []watch.File{ca}, nil
	}
	crl, err := watch.ReadFile(crlFile, maxCRLFile)
	if err != nil {
		return nil, fmt.Errorf("reading the CRL file: %w", err)
	}
	return []watch.File{ca, crl}, nil
}

// parseTrust parses the files of readFiles.
func parseTrust(files []watch.File, now time.Time) (*trust, error) {
	t := &trust{roots: x509.NewCertPool(), loaded: now}
	ders, err := derOf(files[0].Text, "CERTIFICATE")
	if err != nil {
		return nil, fmt.Errorf("the CA file is invalid: %w", err)
	}
	var authorities []*x509.Certificate
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("the CA file is invalid: certificate %d: %w", i+1, err)
		}
		t.roots.AddCert(c)
		authorities = append(authorities, c)
	}
	t.authorities = len(authorities)
	if len(files) > 1 {
		if t.revoked, err = parseCRLs(files[1].Text, authorities); err != nil {
			return nil, fmt.Errorf("the CRL file is invalid: %w", err)
		}
	}
	return t, nil
}

// verify returns the instants between which a chain leads from c, through the
// certificates in between, to a CA. It returns a *RefusedError if there is no such
// chain at now, or if each contains a revoked certificate.
func (t *trust) verify(
	c *x509.Certificate, between []*x509.Certificate, now time.Time,
) (from, until time.Time, err error) {
	pool := x509.NewCertPool()
	for _, b := range between {
		pool.AddCert(b)
	}
	chains, err := c.Verify(x509.VerifyOptions{
		Roots: t.roots, Intermediates: pool, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return from, until, refuse(reasonOf(err), err)
	}
	revoked := true
	for _, chain := range chains {
		if t.revokes(chain) {
			continue
		}
		begin, end := validity(chain)
		if revoked || end.After(until) {
			from, until = begin, end
		}
		revoked = false
	}
	if revoked {
		return from, until, refuse(ReasonRevoked, nil)
	}
	return from, until, nil
}

// revokes reports whether a certificate of the chain is revoked. Its last one is a CA
// of the CA file, which the operator trusts.
func (t *trust) revokes(chain []*x509.Certificate) bool {
	for _, c := range chain[:max(1, len(chain)-1)] {
		if _, revoked := t.revoked.serials[serialOf(c)]; revoked {
			return true
		}
	}
	return false
}

// validity returns when all certificates of the chain are valid.
func validity(chain []*x509.Certificate) (from, until time.Time) {
	from, until = chain[0].NotBefore, chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return from, until
}

// reasonOf returns the reason of an error of [x509.Certificate.Verify]. The dates of
// the certificate itself were checked before.
func reasonOf(err error) Reason {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return ReasonExpired
		case x509.IncompatibleUsage:
			return ReasonUsage
		default:
		}
	}
	return ReasonUntrusted
}
