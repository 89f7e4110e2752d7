package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
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
		Proxy:       proxyOf,
		Protocols:   protocols,
		DialContext: dialer.DialContext,
		// "TLS 1.2 and above" (vendor FAQ).
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
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

// countTry is called before each try to send the request, and returns an error if there
// were too many.
func (s *sending) countTry() error {
	s.tries++
	switch {
	case s.once && s.written.Load() > 0:
		return errNotTwice
	case s.tries > s.maxTries:
		return errTooOften
	}
	return nil
}

// errAllInUse is the error of a request that gets no connection to upstream because the
// maximum number is in use.
var errAllInUse = errors.New("all upstream connections are in use")

// dials bounds the number of open connections to upstream, so that they leave file
// descriptors for other uses. It is safe for concurrent use.
type dials struct {
	slots     chan struct{} // one element for each connection that is open or being opened
	wait      time.Duration // bound on the wait for a slot
	next      func(ctx context.Context, network, address string) (net.Conn, error)
	closeIdle func() // closes the connections that no request uses
}

func newDials(
	most int, wait time.Duration, next func(context.Context, string, string) (net.Conn, error), closeIdle func(),
) *dials {
	return &dials{slots: make(chan struct{}, most), wait: wait, next: next, closeIdle: closeIdle}
}

// dial opens a connection. If the maximum is open, it first waits until another one is
// closed. A request that waits here uses a connection that becomes idle, if that
// happens first.
func (d *dials) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.acquire(ctx); err != nil {
		return nil, err
	}
	c, err := d.next(ctx, network, address)
	if err != nil {
		<-d.slots
		return nil, err
	}
	return &dialed{Conn: c, leave: sync.OnceFunc(func() { <-d.slots })}, nil
}

// acquire takes a slot, and waits for one if there is none.
func (d *dials) acquire(ctx context.Context) error {
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	d.closeIdle() // this request cannot use connections to other hosts
	late := time.NewTimer(d.wait)
	defer late.Stop()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-late.C:
		return errAllInUse
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
}

// dialed is a connection that holds a slot until it is closed.
type dialed struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (c *dialed) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err //nolint:wrapcheck // it is the network's own
}
