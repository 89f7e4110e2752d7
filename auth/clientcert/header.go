package clientcert

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"slices"
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

// Credential returns the client certificate of a request, which [Verifier.Identify]
// judges; nil if there is none. A request of a trusted proxy has the certificate in
// Options.Header: the certificate of its connection, if any, is the proxy's own and
// identifies no client. The peer of the connection decides, never X-Forwarded-For. The
// certificate of any other request is that of its TLS handshake.
//
// Credential removes Client-Cert, Client-Cert-Chain and the configured headers from
// every request, so call it before the headers are read or forwarded. It returns a
// *[RefusedError] if a trusted proxy has sent a header that cannot be read.
func (v *Verifier) Credential(r *http.Request) (*x509.Certificate, error) {
	values, chain := r.Header[v.header], r.Header[v.chain]
	v.strip(r.Header)
	if v.header != "" && v.trusts(r.RemoteAddr) {
		if len(values) == 0 {
			return nil, nil // no certificate is no error
		}
		return v.fromHeader(values, chain)
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, nil // no certificate is no error
	}
	c := r.TLS.PeerCertificates[0]
	if v.certificates.get(c) == nil {
		v.meet(c, r.TLS.PeerCertificates[1:], "")
	}
	return c, nil
}

// strip removes the headers of client certificates.
func (v *Verifier) strip(h http.Header) {
	delete(h, defaultHeader)
	delete(h, defaultHeader+chainSuffix)
	if v.header != "" {
		delete(h, v.header)
		delete(h, v.chain)
	}
}

// trusts reports whether the peer of a connection is a trusted proxy.
func (v *Verifier) trusts(peer string) bool {
	at, err := netip.ParseAddrPort(peer)
	return err == nil && slices.ContainsFunc(v.options.Trusted, func(p netip.Prefix) bool {
		return p.Contains(at.Addr().Unmap().WithZone(""))
	})
}

// fromHeader returns the certificate in the headers of a trusted proxy.
func (v *Verifier) fromHeader(values, chain []string) (*x509.Certificate, error) {
	text := values[0]
	if len(values) > 1 || len(chain) > 0 {
		text = strings.Join(slices.Concat(values, []string{""}, chain), "\n") // a line break is in no value
	}
	if k := v.certificates.getText(text); k != nil {
		return k.certificate, nil
	}
	c, err := parseHeader(values)
	if err != nil {
		return nil, err
	}
	between, err := parseChain(chain)
	if err != nil {
		return nil, err
	}
	return v.meet(c, between, text).certificate, nil
}

// getText returns the accepted certificate of a header; nil if it is not known.
func (c *certificates) getText(text string) *known {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, _ := c.texts.Get(text)
	return k
}

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
