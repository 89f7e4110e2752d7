package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// startProxy starts a server that passes each request on to osemu unless answers
// reports that it has answered the request, and returns its base URL.
func startProxy(t *testing.T, e *emulator, answers func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	target, err := url.Parse(e.url)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answers(w, r) {
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestAttackBySwitchingUpstreamAffectsNoOtherClient: Object Store answers plain reads
// with 101 (Switching Protocols, RFC 9110 section 15.2.2). This is no valid answer: the
// gateway answers 502.
func TestAttackBySwitchingUpstreamAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	checkAttacks(t, attack{
		name: "an upstream that switches protocols", runsToItsEnd: true,
		upstream: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/switches") {
				return false
			}
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return false
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			return true // and the connection stays open
		},
		run: func(a *attackRun) {
			reader := a.newClient(false, false)
			reader.token = a.unknownToken("app-two")
			for range 20 {
				reader.get(demoKeys+"/switches").checkRefusal(http.StatusBadGateway, "upstream-unreachable")
			}
		},
	})
}
