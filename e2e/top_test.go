package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// TestTopShowsTheTrafficOfTheGateway runs osgate top with the configuration of the
// gateway, with its address, and without the token, which it reports.
func TestTopShowsTheTrafficOfTheGateway(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("ADMIN_TOKEN=an-operators-token", "RATE_MAX_WAIT=0s", "RATE=2", "RATE_PERIOD=1h", "RATE_BURST=2")
	s.addSecret("an-operators-token")
	one := g.as("app-one")
	for range 10 {
		one.get(keyOne)
	}
	refused := g.client().get(keyOne, "X-Request-Id: of-a-stranger").is(401)
	token, listen := "ADMIN_TOKEN=an-operators-token", "ADMIN_LISTEN="+strings.TrimPrefix(g.admin, "http://")
	eventually(t, "a second to pass, so that there is a window", func() bool {
		return strings.Contains(runOsgate(t, []string{token, listen}, "top", "-once").stdout, "APP_demo")
	})
	run := runOsgate(t, []string{token}, "top", "-admin", g.admin)
	run.checkOutput(t, 0, "READY", "App one", "APP_demo", "region us/us-east-1", "over-quota", "no-token", refused.header.Get("X-Request-Id"), "hit ratio")
	if strings.Contains(run.stdout, "\x1b") || run.stderr != "" {
		t.Errorf("the output to a pipe has escape sequences or errors: %q %q", run.stdout, run.stderr)
	}
	runOsgate(t, []string{listen}, "top").checkOutput(t, 1, "OSGATE_ADMIN_TOKEN")
	runOsgate(t, []string{token}, "top", "-interval", "0s").checkOutput(t, 2, "-interval")
	g.stop(syscall.SIGTERM)
	runOsgate(t, []string{token, listen}, "top").checkOutput(t, 1, g.admin, "connection refused")
}
