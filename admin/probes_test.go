package admin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"osgate/admin"
)

// newProbes returns the handler of a metrics listener in this state.
func newProbes(status admin.Status, loopback bool) http.Handler {
	return admin.NewProbes(admin.ProbesOptions{
		Loopback:  loopback,
		Readiness: func() admin.Readiness { return admin.Readiness{Status: status} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "osgate_exchanges_total 42\n")
		}),
	})
}

func TestProbesAndScrapesNeedNoToken(t *testing.T) {
	for _, tt := range []struct {
		state  admin.Status
		path   string
		status int
		body   string
	}{
		{admin.Ready, "/livez", 200, "ok\n"},
		{admin.Ready, "/readyz", 200, `{"status":"ready","reasons":[]}`},
		{admin.Degraded, "/readyz", 200, `{"status":"degraded","reasons":[]}`},
		{admin.Ready, "/metrics", 200, "osgate_exchanges_total 42\n"},
		{admin.Starting, "/readyz", 503, `{"status":"starting","reasons":[]}`},
		{admin.Draining, "/readyz", 503, `{"status":"draining","reasons":[]}`},
		{admin.Draining, "/livez", 200, "ok\n"},
		{admin.Draining, "/metrics", 200, "osgate_exchanges_total 42\n"},
	} {
		h := newProbes(tt.state, false)
		answer := send(t, h, http.MethodGet, tt.path, "", "Host: osgate.example:9090")
		if body := text(t, answer); answer.StatusCode != tt.status || body != tt.body {
			t.Errorf("%s %s: %d %s, want %d %s", tt.state, tt.path, answer.StatusCode, body, tt.status, tt.body)
		}
		answer = send(t, h, http.MethodHead, tt.path, "", "Host: osgate.example:9090")
		if answer.StatusCode != tt.status {
			t.Errorf("HEAD %s: %d, want %d", tt.path, answer.StatusCode, tt.status)
		}
	}
}

// TestProbesListenerServesProbesOnly checks that no path of the admin listener, and no
// other spelling of the three paths, is served or redirected.
func TestProbesListenerServesProbesOnly(t *testing.T) {
	h := newProbes(admin.Ready, false)
	for _, path := range []string{
		"/", "/config", "/api/overview", "/api/live", "/api/recent", "/api/history", "/api/fleet", "/cache/purge", "/login",
		"/logout",
		"/index.html", "/favicon.svg", "/debug/pprof/",
		"/metrics/", "//metrics", "/./metrics", "/a/../metrics", "/livez/", "/readyz/x", "/Metrics", "/%2Fmetrics",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions} {
			answer := send(t, h, method, path, "")
			if answer.StatusCode != http.StatusNotFound || answer.Header.Get("Location") != "" {
				t.Errorf("%s %s: %d, Location %q; want 404 without a redirect",
					method, path, answer.StatusCode, answer.Header.Get("Location"))
			}
		}
	}
	p := readProblem(t, send(t, h, http.MethodGet, "/config", ""), http.StatusNotFound)
	if strings.Contains(p.Detail, "page") {
		t.Errorf("404 mentions the page: %s", p.Detail)
	}
}

func TestProbesAreReadOnly(t *testing.T) {
	h := newProbes(admin.Ready, false)
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"} {
			answer := send(t, h, method, path, "")
			got := answer.Header.Get("Allow")
			if answer.StatusCode != http.StatusMethodNotAllowed || got != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q; want 405", method, path, answer.StatusCode, got)
			}
		}
	}
}

func TestProbesOnLoopbackCheckTheHost(t *testing.T) {
	h := newProbes(admin.Ready, true)
	answer := send(t, h, http.MethodGet, "/metrics", "", "Host: evil.example")
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign Host on loopback: %d, want 403", answer.StatusCode)
	}
	answer = send(t, h, http.MethodGet, "/metrics", "", "Host: 127.0.0.1:9090")
	if answer.StatusCode != http.StatusOK {
		t.Errorf("a loopback Host: %d, want 200", answer.StatusCode)
	}
}
