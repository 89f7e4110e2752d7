package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"osgate/plaincache"
	"osgate/record"
)

// failingUpstreams returns upstreams on sockets of their own, each of which fails in
// one way. The values are base URLs.
func failingUpstreams(t *testing.T) map[string]string {
	t.Helper()
	closed := listen(t, nil)
	_ = closed.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = silent
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	read := func(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)) }
	return map[string]string{
		"refused": "http://" + closed.Addr().String(),
		"reset": "http://" + listen(t, func(c net.Conn) {
			read(c)
			_ = c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // it is one
			_ = c.Close()
		}).Addr().String(),
		"ended":     "http://" + listen(t, func(c net.Conn) { read(c); _ = c.Close() }).Addr().String(),
		"untrusted": untrusted.URL,
		"late":      "http://" + listen(t, func(net.Conn) {}).Addr().String(),
	}
}

// listen returns a listener that passes each connection to serve, and closes all that
// are still open when the test ends.
func listen(t *testing.T, serve func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() { // ends when l is closed
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			serve(c)
		}
	}()
	return l
}

// upstreamFailures contains the expected answer and record for each of
// failingUpstreams.
var upstreamFailures = map[string]struct {
	status     int
	code, kind string
}{
	"refused":   {502, "upstream-unreachable", "connection_refused"},
	"reset":     {502, "upstream-unreachable", "connection_reset"},
	"ended":     {502, "upstream-unreachable", "_OTHER"},
	"untrusted": {502, "upstream-unreachable", "certificate"},
	"late":      {504, "upstream-timeout", "timeout"},
}

// TestUpstreamsFailuresAreNamed checks status, code and error, with the errors that
// sockets return: each of them has a method Timeout, which returns false for most.
func TestUpstreamsFailuresAreNamed(t *testing.T) {
	for name, base := range failingUpstreams(t) {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(o *Options) { o.Timeout = patience(name) })
			want := upstreamFailures[name]
			var failure error
			g.upstream = func(r *http.Request) (*http.Response, error) {
				scheme, address, _ := strings.Cut(base, "://")
				r = r.Clone(r.Context())
				r.URL.Scheme, r.URL.Host = scheme, address
				answer, err := NewTransport(TransportOptions{}).Fresh.RoundTrip(r)
				failure = err
				return answer, err
			}
			w := g.get("one", keyPath)
			if w.Code != want.status || codeOf(t, w) != want.code || w.Header().Get("RateLimit") == "" || w.Header().Get("Via") != "1.1 osgate" {
				t.Errorf("%v: %d %s %v, want %d %s", failure, w.Code, w.Body, w.Header(), want.status, want.code)
			}
			if x := g.last(); x.Cause == "" || x.Code != record.Code(want.code) || x.UpstreamError != want.kind {
				t.Errorf("%v: recorded %+v, want %s", failure, x, want.kind)
			}
		})
	}
}

// patience is how long an upstream may take for each step: a short time for the one
// that never answers, and more than any other one needs.
func patience(failure string) time.Duration {
	if failure == "late" {
		return 50 * time.Millisecond
	}
	return time.Minute
}

// TestAnOriginsFailuresAreNamed checks the same for the plain cache.
func TestAnOriginsFailuresAreNamed(t *testing.T) {
	for name, base := range failingUpstreams(t) {
		t.Run(name, func(t *testing.T) {
			web, err := plaincache.New(plaincache.Options{Bytes: 1 << 20, EntryBytes: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{ResponseHeaderTimeout: patience(name), TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
			defer transport.CloseIdleConnections()
			origin, err := url.Parse(base)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := plaincache.NewServer(plaincache.ServerOptions{Origin: origin, Cache: web, Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			w := httptest.NewRecorder()
			plain.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", http.NoBody))
			if want := upstreamFailures[name]; w.Code != want.status || codeOf(t, w) != want.code {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, want.status, want.code)
			}
		})
	}
}

// TestUpstreamsErrorsAreCauses checks that the record contains the text of the error.
func TestUpstreamsErrorsAreCauses(t *testing.T) {
	g := newRig(t)
	g.upstream = func(*http.Request) (*http.Response, error) { return nil, errors.New("a reason") }
	if g.get("one", keyPath); g.last().Cause != "a reason" {
		t.Errorf("recorded %+v", g.last())
	}
}
