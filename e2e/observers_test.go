package e2e

import (
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestMetricsListenerServesProbesAndScrapesAlone reads the metrics listener of a
// gateway whose admin listener has a token, before and during the drain.
func TestMetricsListenerServesProbesAndScrapesAlone(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("METRICS_LISTEN=127.0.0.1:0", "ADMIN_TOKEN=an-operators-token", "DRAIN_DELAY=1s")
	metrics := client{t: t, base: g.listenerURL(2, "metrics")}
	g.as("app-one").get(keyOne).is(http.StatusOK)
	for path, text := range map[string]string{"/livez": "ok", "/readyz": `"ready"`, "/metrics": "osgate_exchanges_total{"} {
		if a := metrics.get(path).is(http.StatusOK); !strings.Contains(a.body, text) {
			t.Errorf("%s is %.200s, want %s", path, a.body, text)
		}
		metrics.send(http.MethodPost, path, "").is(http.StatusMethodNotAllowed)
	}
	for _, path := range []string{
		"/", "/config", "/api/overview", "/api/live", "/cache/purge", "/login", "//metrics", "/metrics/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a := metrics.send(method, path, "", "Authorization: Bearer an-operators-token")
			if a.status != http.StatusNotFound {
				t.Errorf("%s %s: %d, want 404", method, path, a.status)
			}
		}
	}
	if a := (client{t: t, base: g.admin}).get("/metrics"); a.status != http.StatusUnauthorized {
		t.Errorf("/metrics of the admin listener without its token: %d, want 401", a.status)
	}
	g.signal(syscall.SIGTERM)
	eventually(t, "readiness to end", func() bool {
		return metrics.get("/readyz").status == http.StatusServiceUnavailable
	})
	metrics.get("/metrics").is(http.StatusOK)
	metrics.get("/livez").is(http.StatusOK)
	if code := g.wait(); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
}

// TestAdminListenerServesHTTPS runs the commands for operators against an admin
// listener with a certificate, and again after the certificate was replaced.
func TestAdminListenerServesHTTPS(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t, "osgate.example")
	s := newStack(t, false)
	g := &gateway{stack: s}
	settings := []string{"ADMIN_TLS_CERT=" + cert, "ADMIN_TLS_KEY=" + key, "ADMIN_TOKEN=an-operators-token"}
	g.process = startProgram(t, programs.osgate, s.environment(settings...))
	g.url, g.admin = g.listenerURL(0, "clients"), g.listenerURL(1, "admin")
	settings = append(settings, "ADMIN_LISTEN="+strings.TrimPrefix(g.admin, "https://"))
	work := func() {
		t.Helper()
		runOsgate(t, settings, "healthcheck").checkOutput(t, 0, `"ready"`)
		runOsgate(t, settings, "top").checkOutput(t, 0, "REQUESTS")
	}
	work()
	newCert, newKey, roots := certificate(t, "osgate.example")
	runOsgate(t, append(settings, "ADMIN_TLS_CERT="+newCert), "healthcheck").checkOutput(t, 1, "certificate")
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	g.signal(syscall.SIGHUP)
	g.stderr.await(t, "the certificate to be read", g.ended, func(text string) bool {
		return strings.Contains(text, `"msg":"certificates reloaded"`)
	})
	work()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	operator := client{t: t, base: g.admin, httpClient: newHTTPClient(transport)}
	operator.get("/config").is(http.StatusUnauthorized)
	operator.token = "an-operators-token"
	operator.get("/config").is(http.StatusOK)
	login := operator.send(http.MethodPost, "/login", "token=an-operators-token",
		"Content-Type: application/x-www-form-urlencoded")
	if cookie := login.header.Get("Set-Cookie"); !strings.Contains(cookie, "; Secure") {
		t.Errorf("the page's cookie is %q, want one for HTTPS only", cookie)
	}
	plain := client{t: t, base: "http" + strings.TrimPrefix(g.admin, "https")}
	plain.get("/livez").is(http.StatusBadRequest)
	runOsgate(t, []string{"ADMIN_TLS_CERT=/absent", "ADMIN_TLS_KEY=/absent"}, "check").
		checkOutput(t, 2, "OSGATE_ADMIN_TLS_CERT", "/absent")
}
