package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// TestHealthcheckReportsTheRunningGateway runs osgate healthcheck with the
// configuration of a running gateway, and again after its end.
func TestHealthcheckReportsTheRunningGateway(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway()
	settings := []string{"ADMIN_LISTEN=" + strings.TrimPrefix(g.admin, "http://")}
	runOsgate(t, settings, "healthcheck").checkOutput(t, 0)
	if code := g.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
	runOsgate(t, settings, "healthcheck").checkOutput(t, 1)
}

// TestSIGTERMLetsRunningExchangesFinish sends SIGTERM during an exchange. Readiness
// ends at once, the exchange is completed.
func TestSIGTERMLetsRunningExchangesFinish(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("DRAIN_DELAY=1s", "CACHE_KEY_TTL=0")
	one := g.as("app-one")
	one.get(keyOne).is(http.StatusOK)
	s.emulator.clearRequests()
	s.emulator.setFault("2s", "")
	running := make(chan *answer, 1)
	go func() {
		a, err := one.try(http.MethodGet, keyOne, "")
		if err != nil {
			t.Errorf("the running exchange was cut: %v", err)
		}
		running <- a
	}()
	s.emulator.awaitRequest(hasTarget("GET", keyOne))
	g.signal(syscall.SIGTERM)
	admin := client{t: t, base: g.admin}
	eventually(t, "readiness to end", func() bool { return admin.get("/readyz").status == http.StatusServiceUnavailable })
	if a := <-running; a != nil {
		a.is(http.StatusOK)
	}
	if code := g.wait(); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
}

// TestAdminListenerMasksSecretsOfTheConfiguration reads /config and /metrics, and
// /config with a foreign Host.
func TestAdminListenerMasksSecretsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("SECRET=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	g.as("app-one").get(keyOne).is(http.StatusOK)
	admin := client{t: t, base: g.admin}
	configuration := admin.get("/config").is(http.StatusOK)
	if !json.Valid([]byte(configuration.body)) || strings.Contains(configuration.body, "MDEyMzQ1") {
		t.Errorf("/config is %s, want JSON without secrets", configuration.body)
	}
	if a := admin.get("/metrics").is(http.StatusOK); !strings.Contains(a.body, "# TYPE") {
		t.Errorf("/metrics is %s, want the Prometheus text format", a.body)
	}
	if a := admin.get("/config", "Host: evil.example"); a.status != http.StatusForbidden {
		t.Errorf("/config with another server's Host: %d, want 403", a.status)
	}
}
