package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Transport sends requests upstream. Both round trippers use HTTP/1.1 only and keep the
// bounds of [bounded].
type Transport struct {
	Shared http.RoundTripper // keeps connections open
	Fresh  http.RoundTripper // one connection for each request, so that no request is sent twice
}

// TransportOptions configure the upstream connections.
type TransportOptions struct {
	// Timeout is how long upstream may take for each step: to accept a connection and
	// each further part of a request's body, and to begin its answer after the last
	// part. It is also the value of TCP_USER_TIMEOUT. 0: 30 s.
	Timeout time.Duration

	Roots *x509.CertPool // trusted authorities; nil: the system's

	// MaxConnections is how many connections may be open. A further request waits up to
	// 5 s for one. 0: no bound.
	MaxConnections int

	// IdleTimeout is how long a connection without a request is kept. It must be
	// shorter than the server's: a server closes its end even while a request is on its
	// way, and the outcome of a write is unknown then. 0: 30 s.
	IdleTimeout time.Duration

	// Dial replaces TCP; its connections are used without TLS. Nil: TCP. For tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	upstreamTimeout = 30 * time.Second
	idleUpstream    = 30 * time.Second // common servers and balancers close at 60 to 75 s
	dialTimeout     = 5 * time.Second
	idlePerHost     = 256 // few hosts, many connections: net/http's 2 would dial for most requests
	maxHeaderBytes  = 256 << 10
)

// NewTransport returns a Transport for a few hosts and many connections. It honors
// HTTPS_PROXY, follows no redirect and decompresses no answer. It fails if upstream
// switches protocols.
func NewTransport(o TransportOptions) Transport {
	if o.Timeout == 0 {
		o.Timeout = upstreamTimeout
	}
	// net/http repeats HTTP/2 requests without a bound if upstream refuses their
	// streams, and has no option to forbid it (docs/adr/0037).
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second, Control: userTimeout(o.Timeout)}
	pooled := &http.Transport{
		Proxy:                  proxyOf,
		Protocols:              protocols,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, // "TLS 1.2 and above" (vendor FAQ)
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true, // bodies are identity, byte for byte
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        cmp.Or(o.IdleTimeout, idleUpstream),
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	if o.MaxConnections > 0 {
		wait := min(dialTimeout, o.Timeout/2) // it must end before Timeout, which would count against the region
		pooled.DialContext = newDials(o.MaxConnections, wait, dialer.DialContext, pooled.CloseIdleConnections).dial
	}
	if o.Dial != nil {
		pooled.DialContext, pooled.DialTLSContext = o.Dial, o.Dial
	}
	single := pooled.Clone()
	single.DisableKeepAlives = true
	return Transport{
		Shared: &bounded{first: pooled, last: single, timeout: o.Timeout},
		Fresh:  &bounded{first: single, timeout: o.Timeout},
	}
}

// proxyOf returns the proxy for r (HTTPS_PROXY and related variables). net/http calls
// it before each sending of r and gives up on an error. So this is the place to refuse
// one more sending.
func proxyOf(r *http.Request) (*url.URL, error) {
	if s := sendingOf(r.Context()); s != nil {
		if err := s.countTry(); err != nil {
			return nil, err
		}
	}
	return http.ProxyFromEnvironment(r)
}
