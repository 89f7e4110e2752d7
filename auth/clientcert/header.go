package clientcert

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
)

// The bounds of the header.
const (
	maxHeader = 32 << 10 // bytes of a field value
	maxChain  = 8        // intermediate certificates
)

// defaultHeader is the header of RFC 9440. With the suffix it is the header of the
// intermediate certificates.
const (
	defaultHeader = "Client-Cert"
	chainSuffix   = "-Chain"
)

// parseHeader parses the values of the field Client-Cert (RFC 9440 section 2.2): one
// byte sequence of a structured field. A second value is an error, because two servers
// could take different ones.
func parseHeader(values []string) (*x509.Certificate, error) {
	if len(values) != 1 {
		return nil, refuse(ReasonMalformed, errors.New("more than one header with a certificate"))
	}
	c, err := parseItem(values[0])
	if err != nil {
		return nil, refuse(ReasonMalformed, err)
	}
	return c, nil
}

// parseChain parses the values of the field Client-Cert-Chain (RFC 9440 section 2.3): a
// list of byte sequences, which may be spread over several lines.
func parseChain(values []string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, line := range values {
		for item := range strings.SplitSeq(line, ",") {
			c, err := parseItem(item)
			if err == nil && len(chain) == maxChain {
				err = errors.New("too many intermediate certificates")
			}
			if err != nil {
				return nil, refuse(ReasonMalformed, err)
			}
			chain = append(chain, c)
		}
	}
	return chain, nil
}

// parseItem parses a certificate in a byte sequence.
func parseItem(text string) (*x509.Certificate, error) {
	der, err := parseBytes(text)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("the header contains no certificate") // err may contain its text
	}
	return c, nil
}

// parseBytes parses an item of a structured field that is a byte sequence, ":" base64
// ":", without parameters (RFC 9651 section 4.2.7). Padding is required, so that each
// sequence of bytes has one form only.
func parseBytes(text string) ([]byte, error) {
	if len(text) > maxHeader {
		return nil, errors.New("the header is too long")
	}
	text = strings.Trim(text, " \t")
	inner, opened := strings.CutPrefix(text, ":")
	inner, closed := strings.CutSuffix(inner, ":")
	if !opened || !closed || strings.ContainsAny(inner, "\r\n") { // which the decoder would ignore
		return nil, errors.New("the header is no byte sequence of RFC 9651")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(inner)
	if err != nil {
		return nil, errors.New("the header contains invalid base64")
	}
	return raw, nil
}
