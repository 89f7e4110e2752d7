package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"
)

// Transport is the way to upstream.
type Transport struct {
	Shared http.RoundTripper // keeps connections; it replays body-less reads on a dead one
	Fresh  http.RoundTripper // a connection of its own for each request: for what must never be replayed
}

// TransportOptions configure the upstream connections.
type TransportOptions struct {
	Timeout time.Duration  // from the request's last byte to the answer's first; also TCP_USER_TIMEOUT; 0: 30 s
	Roots   *x509.CertPool // trusted authorities; nil: the system's
}

const (
	upstreamTimeout = 30 * time.Second
	dialTimeout     = 5 * time.Second
	idlePerHost     = 256 // few hosts, many connections: net/http's 2 would dial for most requests
	maxHeaderBytes  = 256 << 10
)

// NewTransport returns a Transport for a few hosts and many connections. It honors HTTPS_PROXY, follows nothing, decompresses nothing, and
// fails where upstream switches protocols.
func NewTransport(o TransportOptions) Transport {
	if o.Timeout == 0 {
		o.Timeout = upstreamTimeout
	}
	shared := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second, Control: userTimeout(o.Timeout)}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, // "TLS 1.2 and above" (vendor FAQ)
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true, // a TLSClientConfig of one's own turns it off otherwise
		DisableCompression:     true, // bodies are identity, byte for byte
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        75 * time.Second,
		ResponseHeaderTimeout:  o.Timeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}, // a dead connection is found out
	}
	fresh := shared.Clone()
	fresh.DisableKeepAlives = true
	return Transport{Shared: unswitched{shared}, Fresh: unswitched{fresh}}
}

// errSwitched is an answer that speaks another protocol from here on.
var errSwitched = errors.New("upstream answered 101 (Switching Protocols), which no request asks for")

// unswitched fails where upstream answers 101, and closes the connection. No request offers Upgrade, so a server must not switch (RFC 9110 section
// 15.2.2). The answer would never end: its body is the connection itself. Other informational answers are read over by net/http, whose bounds on the time
// to an answer and on the bytes of its headers count them in.
type unswitched struct{ way http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (u unswitched) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := u.way.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		return answer, err //nolint:wrapcheck // it adds nothing
	}
	_ = answer.Body.Close() // ends the connection
	return nil, errSwitched
}
