package e2e

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// swallowingProxy is an HTTPS proxy in front of osemu that can swallow connections: it
// accepts them and sends nothing.
type swallowingProxy struct {
	net.Listener
	server *httptest.Server

	mu          sync.Mutex // guards the fields below
	swallows    bool
	connections []net.Conn // swallowed
}

// Accept implements [net.Listener]: it returns connections unless they are swallowed.
func (p *swallowingProxy) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil || !p.keepIfSwallowed(c) {
			return c, err
		}
	}
}

func (p *swallowingProxy) keepIfSwallowed(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swallows {
		p.connections = append(p.connections, c)
	}
	return p.swallows
}

// setSwallows begins to swallow connections, also the open ones, or stops it.
func (p *swallowingProxy) setSwallows(deep bool) {
	p.mu.Lock()
	p.swallows = deep
	for _, c := range p.connections {
		_ = c.Close()
	}
	p.connections = nil
	p.mu.Unlock()
	p.server.CloseClientConnections()
}

// swallowingProxy returns a proxy in front of osemu, and the settings of a gateway that
// goes through it.
func (s *stack) swallowingProxy() (p *swallowingProxy, settings []string) {
	s.t.Helper()
	target, err := url.Parse(s.emulator.url)
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }})
	p = &swallowingProxy{Listener: server.Listener, server: server}
	server.Listener = p
	server.StartTLS()
	s.t.Cleanup(func() {
		p.setSwallows(false)
		server.Close()
	})
	authority := filepath.Join(s.t.TempDir(), "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return p, []string{"UPSTREAM_OVERRIDE=" + server.URL, "UPSTREAM_CA=" + authority}
}

// TestFewRequestsWaitForARegionThatDoesNotAnswer: five requests wait for the region in
// vain, later ones are refused at once, and all are served when the region has
// recovered. proxy.TestARegionThatSwallowsConnectionsIsAskedByOneRequestAtATime proves
// the exact times, in fake time.
func TestFewRequestsWaitForARegionThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	p, settings := s.swallowingProxy()
	g := s.gateway(append(settings, "RATE=0", "CACHE_KEY_TTL=0")...)
	one, admin := g.as("app-one"), client{t: t, base: g.admin}
	one.get(keyOne).is(http.StatusOK)
	degraded := func() bool { return strings.Contains(admin.get("/readyz").body, `"region us/us-east-1"`) }
	if degraded() {
		t.Fatal("readiness is degraded although all services answer")
	}

	p.setSwallows(true)
	var waiting sync.WaitGroup
	for range 5 {
		waiting.Go(func() {
			a, err := one.try(http.MethodGet, keyOne, "")
			if err != nil || a.status != http.StatusGatewayTimeout {
				t.Errorf("%v, %v; want 504 while the region's state is unknown", a, err)
			}
		})
	}
	waiting.Wait()
	eventually(t, "a request to be refused at once", func() bool {
		a := one.get(keyOne)
		if a.status == http.StatusBadGateway {
			a.checkRefusal(http.StatusBadGateway, "upstream-unreachable")
			return strings.Contains(a.header.Get("Proxy-Status"), "destination_unavailable")
		}
		return false
	})
	if !degraded() {
		t.Errorf("readiness %s", admin.get("/readyz").body)
	}
	metrics := admin.get("/metrics").body
	if state := `osgate_upstream_breaker{osv2_plane="us",osv2_region="us-east-1"} `; !strings.Contains(metrics, state+"2") && !strings.Contains(metrics, state+"1") {
		t.Error("the metric does not report the region")
	}

	p.setSwallows(false)
	eventually(t, "the region to recover", func() bool { return one.get(keyOne).status == http.StatusOK })
	if degraded() {
		t.Errorf("readiness %s", admin.get("/readyz").body)
	}
	for _, line := range []string{"a region is unreachable", "a region is reachable again"} {
		eventually(t, "the log to have "+line, func() bool { return strings.Contains(g.stderr.String(), line) })
		if n := strings.Count(g.stderr.String(), line); n != 1 {
			t.Errorf("%d lines have %q, want 1", n, line)
		}
	}
}
