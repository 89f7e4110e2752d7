package gateway

import (
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestMetricsListenerShowsTheWholeDrain reads the state of a gateway until an exchange
// that blocks its drain ends.
func TestMetricsListenerShowsTheWholeDrain(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	up := upstream(t, func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/keys/") {
			close(arrived)
			<-release
		}
	})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+up.URL, "OSGATE_METRICS_LISTEN=127.0.0.1:0",
		"OSGATE_ADMIN_TOKEN=an-operators-token"))
	probe := func(path string) (int, string) {
		t.Helper()
		return get(t, http.DefaultClient, g.MetricsURL()+path, "")
	}
	token := mint(t, http.DefaultClient, g.ClientsURL())
	for status := 503; status != 200; { // it listens before it is ready
		status, _ = probe("/readyz")
	}
	for path, want := range map[string]string{
		"/livez": "ok", "/readyz": `"ready"`, "/metrics": `osgate_connections_limit{osgate_listener="metrics"`,
	} {
		if status, body := probe(path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s, want 200 and %s", path, status, body, want)
		}
	}
	if status, _ := probe("/config"); status != 404 {
		t.Errorf("/config on the metrics listener: %d, want 404", status)
	}
	go func() { _, _ = http.DefaultClient.Do(exchange(t, g.ClientsURL()+key, token)) }()
	<-arrived
	stopped := make(chan error, 1)
	go func() { stopped <- g.stop() }()
	for status := 200; status != 503; {
		status, _ = probe("/readyz")
	}
	if status, body := probe("/readyz"); status != 503 || !strings.Contains(body, "draining") {
		t.Errorf("/readyz in the drain: %d %s", status, body)
	}
	if status, _ := probe("/metrics"); status != 200 {
		t.Errorf("/metrics in the drain: %d, want 200", status)
	}
	close(release)
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
	if answer, err := http.Get(g.MetricsURL() + "/livez"); err == nil {
		_ = answer.Body.Close()
		t.Error("the metrics listener is open after the end")
	}
}

// exchange returns a GET request with a token.
func exchange(t *testing.T, target, token string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestThereIsNoMetricsListenerByDefault(t *testing.T) {
	g := start(t, configured(t))
	if got := g.MetricsURL(); got != "" || g.scrapes != nil {
		t.Errorf("a metrics listener at %q without OSGATE_METRICS_LISTEN", got)
	}
	_, body := get(t, http.DefaultClient, g.AdminURL()+"/metrics", "")
	if strings.Contains(body, `osgate_listener="metrics"`) {
		t.Error("metrics of a listener that does not exist")
	}
}

// TestAdminCertificatesAreReadAgainWhenTheyChange checks that the admin listener serves
// over HTTPS alone, and takes a new certificate.
func TestAdminCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	cert, keyFile := certificate(t, dir, 1)
	g := start(t, configured(t, "OSGATE_ADMIN_TLS_CERT="+cert, "OSGATE_ADMIN_TLS_KEY="+keyFile))
	// serial returns the serial number of the certificate on a new connection.
	serial := func() int64 {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		}}
		answer, err := client.Get(g.AdminURL() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Errorf("/readyz: %d", answer.StatusCode)
		}
		return answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if !strings.HasPrefix(g.AdminURL(), "https://") || !strings.HasPrefix(g.ClientsURL(), "http://") || serial() != 1 {
		t.Fatalf("admin %s, clients %s, certificate %d", g.AdminURL(), g.ClientsURL(), serial())
	}
	plain := "http" + strings.TrimPrefix(g.AdminURL(), "https")
	if status, _ := get(t, http.DefaultClient, plain+"/livez", ""); status != 400 {
		t.Errorf("plain HTTP on the admin listener: %d, want 400", status)
	}
	certificate(t, dir, 2)
	g.Reload() // as SIGHUP
	if got := serial(); got != 2 {
		t.Errorf("after the change certificate %d is served", got)
	}
	if err := os.WriteFile(cert, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.adminCerts.reload(false)
	if got := serial(); got != 2 || !strings.Contains(g.log.String(), `"listener":"admin"`) {
		t.Errorf("after a bad change certificate %d is served; log %s", got, g.log)
	}
}
