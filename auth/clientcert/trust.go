package clientcert

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
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

// serial identifies a certificate among all: its issuer, as DER, and its serial number.
type serial struct{ issuer, number string }

func serialOf(c *x509.Certificate) serial {
	return serial{string(c.RawIssuer), string(c.SerialNumber.Bytes())}
}

// revocations are the certificates that a CRL file lists.
type revocations struct {
	serials map[serial]struct{}
	// when the first issuer should have published a newer CRL; zero: never
	nextUpdate time.Time
}

// parseCRLs parses a file of one or more CRLs in PEM, or one in DER. Each must be
// signed by one of the authorities. Several CRLs of one issuer add up.
func parseCRLs(file []byte, authorities []*x509.Certificate) (revocations, error) {
	r := revocations{serials: map[serial]struct{}{}}
	ders, err := derOf(file, "X509 CRL")
	if err != nil {
		return r, err
	}
	due := map[string]time.Time{} // issuer -> its latest next update
	for i, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err == nil {
			err = checkCRL(list, authorities)
		}
		if err != nil {
			return r, fmt.Errorf("CRL %d: %w", i+1, err)
		}
		for _, entry := range list.RevokedCertificateEntries {
			r.serials[serial{string(list.RawIssuer), string(entry.SerialNumber.Bytes())}] = struct{}{}
		}
		if before, seen := due[string(list.RawIssuer)]; !seen || list.NextUpdate.After(before) {
			due[string(list.RawIssuer)] = list.NextUpdate
		}
	}
	for _, next := range due {
		if !next.IsZero() && (r.nextUpdate.IsZero() || next.Before(r.nextUpdate)) {
			r.nextUpdate = next
		}
	}
	return r, nil
}

// derOf returns the blocks of that type in a PEM file, or the whole file if it is not
// PEM.
func derOf(file []byte, kind string) (ders [][]byte, err error) {
	block, rest := pem.Decode(file)
	if block == nil {
		if len(bytes.TrimSpace(file)) == 0 {
			return nil, errors.New("the file is empty")
		}
		return [][]byte{file}, nil
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		return nil, fmt.Errorf("the file contains no PEM block %q", kind)
	}
	return ders, nil
}

// idIssuingDistributionPoint is an extension of RFC 5280 section 5.2.5.
func idIssuingDistributionPoint() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 28} }

// checkCRL returns an error if none of the authorities signed the list, or if it has a
// critical extension that this package does not understand (RFC 5280 section 5.2): a
// delta CRL, or an indirect one, whose entries belong to other issuers.
func checkCRL(list *x509.RevocationList, authorities []*x509.Certificate) error {
	err := errors.New("its issuer is not in the CA file")
	for _, ca := range authorities {
		if !bytes.Equal(ca.RawSubject, list.RawIssuer) {
			continue
		}
		if err = list.CheckSignatureFrom(ca); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	for _, extension := range list.Extensions {
		if extension.Critical && (!extension.Id.Equal(idIssuingDistributionPoint()) || indirect(extension.Value)) {
			return fmt.Errorf("its critical extension %v is not supported", extension.Id)
		}
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, extension := range entry.Extensions {
			if extension.Critical {
				return fmt.Errorf("the critical extension %v of an entry is not supported", extension.Id)
			}
		}
	}
	return nil
}

// indirect reports whether an issuing distribution point marks an indirect CRL, or
// cannot be parsed. A CRL of a part of the certificates is no problem: each
// certificate that it lists is revoked.
func indirect(value []byte) bool {
	var point struct {
		Name       asn1.RawValue  `asn1:"optional,tag:0"`
		OnlyUsers  bool           `asn1:"optional,tag:1"`
		OnlyCAs    bool           `asn1:"optional,tag:2"`
		Reasons    asn1.BitString `asn1:"optional,tag:3"`
		Indirect   bool           `asn1:"optional,tag:4"`
		Attributes bool           `asn1:"optional,tag:5"`
	}
	rest, err := asn1.Unmarshal(value, &point)
	return err != nil || len(rest) > 0 || point.Indirect
}
