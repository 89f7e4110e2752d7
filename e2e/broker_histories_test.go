package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"testing"
	"time"
)

// TestHistoriesOfBrokeredClientsAreLinearizable repeats trials of
// TestHistoriesAreLinearizable with clients that have a JWT.
func TestHistoriesOfBrokeredClientsAreLinearizable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"upstream", "Redis flushed and restarted", "gateways killed"} {
		t.Run(name, func(t *testing.T) { // one after the other: each keeps two processors busy
			b := newStack(t, false, "-quiet").brokering(t)
			tt := trials[name]
			tt.settings = append(b.settings("AUTH=anypoint,jwt"), tt.settings...)
			w := tt.deployment(t)
			w.token = b.issuer.token("orders")
			w.stack.addSecret(w.token)
			for _, r := range w.replicas {
				eventually(t, "the first hit with a JWT", func() bool { return isHit(r.client().get(keyOne)) })
			}
			w.history = newHistory("history")
			tt.checkHistory(t, w.runFaults(seed(), 5*time.Second, tt.coversEnough, tt.faults...))
		})
	}
}

// TestHistoriesOfClientsWithACertificateAreLinearizable repeats trials of
// TestHistoriesAreLinearizable with clients that have a certificate: over real TLS, and
// in the header of a proxy that ends TLS.
func TestHistoriesOfClientsWithACertificateAreLinearizable(t *testing.T) {
	t.Parallel()
	for name, identify := range map[string]func(*trial, *testing.T, *clientCA){
		"gateways killed":             (*trial).identifyByTLS,
		"Redis flushed and restarted": (*trial).identifyByHeader,
	} {
		t.Run(name, func(t *testing.T) { // one after the other: each keeps two processors busy
			b, ca := newStack(t, false, "-quiet").brokering(t), newClientCA(t)
			tt := trials[name]
			settings := b.settings("AUTH=mtls", "AUTH_ISSUERS=", "AUTH_AUDIENCE=", "TLS_CLIENT_CA="+ca.file)
			tt.settings = append(settings, tt.settings...)
			identify(&tt, t, ca)
			w := tt.deployment(t)
			tt.checkHistory(t, w.runFaults(seed(), 5*time.Second, tt.coversEnough, tt.faults...))
		})
	}
}

// identifyByTLS lets the clients of a trial use a certificate of ca over TLS.
func (tt *trial) identifyByTLS(t *testing.T, ca *clientCA) {
	t.Helper()
	certFile, keyFile, roots := certificate(t)
	tt.settings = append(tt.settings, "TLS_CERT="+certFile, "TLS_KEY="+keyFile)
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{ca.issue("spiffe://example.com/orders")},
	}}
	t.Cleanup(transport.CloseIdleConnections)
	tt.httpClient = newHTTPClient(transport)
}

// identifyByHeader lets the clients of a trial send a certificate of ca as a proxy that
// ends TLS does.
func (tt *trial) identifyByHeader(t *testing.T, ca *clientCA) {
	t.Helper()
	tt.settings = append(tt.settings, "AUTH_MTLS_HEADER=Client-Cert", "TRUSTED_PROXIES=127.0.0.0/8")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	tt.httpClient = newHTTPClient(transport)
	tt.httpClient.Transport = certificateHeader{transport, clientCertHeader(ca.issue("spiffe://example.com/orders"))}
}

// clientCertHeader returns a certificate in the form of the header Client-Cert (RFC
// 9440).
func clientCertHeader(c tls.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Certificate[0]) + ":"
}

// certificateHeader adds the header Client-Cert to each request.
type certificateHeader struct {
	http.RoundTripper
	value string
}

// RoundTrip implements [http.RoundTripper].
func (c certificateHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Client-Cert", c.value)
	return c.RoundTripper.RoundTrip(r)
}
