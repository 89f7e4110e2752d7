package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"osgate/config"
)

// ownAdmin returns the URL by which this machine reaches the admin listener of a, and
// how its certificate is verified; nil for plain HTTP.
func ownAdmin(a config.Admin) (base string, trusted *tls.Config, err error) {
	host, port, err := net.SplitHostPort(string(a.Listen))
	if err != nil {
		return "", nil, fmt.Errorf("OSGATE_ADMIN_LISTEN cannot be used: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if a.TLSCert == "" {
		return "http://" + net.JoinHostPort(host, port), nil, nil
	}
	if trusted, err = pinned(a.TLSCert); err != nil {
		return "", nil, fmt.Errorf("OSGATE_ADMIN_TLS_CERT cannot be used: %w", err)
	}
	return "https://" + net.JoinHostPort(host, port), trusted, nil
}

// pinned returns a configuration that accepts the certificate in file, and no other
// one unless a certificate in the file has issued it. The name and the expiry of the
// certificate are not checked: the address is usually a loopback IP, for which there is
// no certificate, and the file proves more than both.
func pinned(file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err //nolint:wrapcheck // the error names the file
	}
	leaf, err := first(text)
	if err != nil {
		return nil, err
	}
	var name string
	switch {
	case len(leaf.DNSNames) > 0:
		name = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		name = leaf.IPAddresses[0].String()
	default:
		return nil, errors.New("the certificate has neither a DNS name nor an IP address")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: name,
		Time: func() time.Time { return leaf.NotBefore },
	}, nil
}

// first returns the first certificate in PEM text.
func first(text []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes) //nolint:wrapcheck // the callers add the context
		}
	}
	return nil, errors.New("the file contains no PEM certificate")
}
