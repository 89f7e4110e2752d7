package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gatewayWithin starts osgate with a limit of file descriptors, which no setting
// exceeds.
func (s *stack) gatewayWithin(descriptors int, settings ...string) *gateway {
	s.t.Helper()
	g := &gateway{stack: s}
	s.t.Cleanup(func() { s.checkNoSecretsWritten(g) })
	g.process = startProgram(s.t, "sh", s.environment(settings...), "-c", fmt.Sprintf("ulimit -n %d && exec %s serve", descriptors, programs.osgate))
	g.awaitReady()
	return g
}

// connect opens a connection to the clients' listener that ends with the test.
func (g *gateway) connect(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", g.addr(), testTimeout)
	if err != nil {
		t.Fatalf("dialing: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	return c
}

// isClosed waits until the gateway has closed c, and reports whether it did.
func isClosed(c net.Conn) bool {
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// logLines returns the lines of the gateway's log with this message.
func (g *gateway) logLines(message string) (lines []map[string]any) {
	for line := range strings.Lines(g.stderr.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
			lines = append(lines, fields)
		}
	}
	return lines
}

// awaitLogLines is logLines for a message that is due: it waits for the first line, which
// the gateway writes in the background.
func (g *gateway) awaitLogLines(t *testing.T, message string) (lines []map[string]any) {
	t.Helper()
	eventually(t, "the log to have "+message, func() bool {
		lines = g.logLines(message)
		return len(lines) > 0
	})
	return lines
}

const connectionsInUseMessage = "all connections are in use; idle ones are closed for new ones"

// TestLongestIdleConnectionIsClosedForANewOne: a client with a valid token is not
// affected. One log line, the readiness and the metrics report it.
func TestLongestIdleConnectionIsClosedForANewOne(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gateway("MAX_CONNECTIONS=10", "RATE=0", "CACHE_KEY_TTL=0")
	own := &http.Transport{}
	t.Cleanup(own.CloseIdleConnections)
	c := g.as("app-one")
	defaultHTTPClient.CloseIdleConnections()
	c.httpClient = newHTTPClient(own)
	c.get(demoKeys + "/KeyOne").is(http.StatusOK) // over a connection that is identified from now on
	idle := make([]net.Conn, 30)
	for i := range idle {
		idle[i] = g.connect(t)
		if i >= 10 && !isClosed(idle[i-10]) {
			t.Fatalf("connection %d is open with 10 newer ones", i-10)
		}
		c.put("edge", strconv.Itoa(i)).good()
		c.get(demoKeys + "/edge").is(http.StatusOK)
	}
	admin := client{t: t, base: g.admin}
	if ready := admin.get("/readyz").is(http.StatusOK).body; !strings.Contains(ready, `"connections"`) || !strings.Contains(ready, "degraded") {
		t.Errorf("readiness %s, want degraded by connections", ready)
	}
	metrics := admin.get("/metrics").body
	for _, want := range []string{
		`osgate_connections_limit{osgate_listener="clients"} 10`, `osgate_connections_limit{osgate_listener="admin"} 64`,
		`osgate_connections_events_total{osgate_connection_event="closed_idle",osgate_listener="clients"} 2`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s…", want)
		}
	}
	if got := g.awaitLogLines(t, connectionsInUseMessage); len(got) != 1 || got[0]["level"] != "WARN" {
		t.Errorf("the log has %d lines of it, %v, want one WARN", len(got), got)
	}
}

// TestAdminAnswersAtTheDescriptorLimit: silent clients open more connections than there
// are descriptors, and a client with a valid token is served.
func TestAdminAnswersAtTheDescriptorLimit(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gatewayWithin(256, "RATE=0", "CACHE_KEY_TTL=0")
	c := g.as("app-one")
	admin := client{t: t, base: g.admin, httpClient: newHTTPClient(&http.Transport{DisableKeepAlives: true})}
	for i := range 600 {
		g.connect(t)
		if i%60 == 59 {
			admin.get("/livez").is(http.StatusOK)
			c.put("edge", strconv.Itoa(i)).good()
			c.get(demoKeys + "/edge").is(http.StatusOK)
		}
	}
	if n := len(g.awaitLogLines(t, connectionsInUseMessage)); n != 1 {
		t.Errorf("%d lines report that all connections are in use, want one", n)
	}
	if n := len(g.logLines("new connections cannot be accepted")); n != 0 {
		t.Errorf("the system refused %d connections, want none: the bound is below its limit", n)
	}
}

// TestMissingDescriptorsAreLoggedOnceWithACount however often the system refuses a
// connection.
func TestMissingDescriptorsAreLoggedOnceWithACount(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gatewayWithin(96, "MAX_CONNECTIONS=1000") // more than the limit
	admin := client{t: t, base: g.admin, httpClient: newHTTPClient(&http.Transport{})}
	admin.get("/readyz").is(http.StatusOK) // this connection is kept: a new one would need a descriptor
	for range 300 {
		g.connect(t)
	}
	eventually(t, "readiness to have the reason", func() bool {
		a, err := admin.try(http.MethodGet, "/readyz", "")
		return err == nil && strings.Contains(a.body, "new connections cannot be accepted")
	})
	got := g.awaitLogLines(t, "new connections cannot be accepted")
	if len(got) != 1 || got[0]["level"] != "WARN" || got[0]["failures"] != 1.0 || got[0]["listener"] != "clients" {
		t.Errorf("the log has %d lines of it, %v, want one WARN with a count", len(got), got)
	}
}

// TestAdminAnswersWhileAllAdminConnectionsAreInUse: silent clients open more admin
// connections than there are descriptors.
func TestAdminAnswersWhileAllAdminConnectionsAreInUse(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gatewayWithin(256)
	admin := client{t: t, base: g.admin, httpClient: newHTTPClient(&http.Transport{DisableKeepAlives: true})}
	for i := range 600 {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(g.admin, "http://"), testTimeout)
		if err != nil {
			t.Fatalf("dialing: %v", err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if i%60 == 59 {
			admin.get("/livez").is(http.StatusOK)
			g.as("app-one").get(demoKeys + "/KeyOne").is(http.StatusOK)
		}
	}
	if n := len(g.logLines("new connections cannot be accepted")); n != 0 {
		t.Errorf("the system refused %d connections, want none: the bound is below its limit", n)
	}
}

// good fails the test unless the status is 2xx.
func (a *answer) good() {
	a.t.Helper()
	if a.status/100 != 2 {
		a.t.Fatalf("%s: status %d, want 2xx", a.request, a.status)
	}
}
