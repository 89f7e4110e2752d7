package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gatewayLoggingTo is [stack.gateway] with standard error connected to a file, which it
// closes.
func (s *stack) gatewayLoggingTo(to *os.File, settings ...string) *gateway {
	s.t.Helper()
	g := &gateway{stack: s, process: startProgramWithStderr(s.t, to, programs.osgate, s.environment(settings...))}
	if err := to.Close(); err != nil {
		s.t.Fatal(err)
	}
	g.awaitReady()
	return g
}

// pipe returns the reading and the writing end of a pipe. The first is closed when the
// test ends.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, w
}

// lostLogLines returns the number of lost log lines from /metrics.
func (g *gateway) lostLogLines() int {
	g.t.Helper()
	for line := range strings.Lines((client{t: g.t, base: g.admin}).get("/metrics").is(http.StatusOK).body) {
		if text, ok := strings.CutPrefix(line, "osgate_log_lost_total "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return int(n)
		}
	}
	g.t.Fatal("/metrics has no number of lost lines of the log")
	return 0
}

// isLogDegraded reports whether /readyz names the log as degraded, with this text.
func (g *gateway) isLogDegraded(detail string) bool {
	a := client{t: g.t, base: g.admin}.get("/readyz").is(http.StatusOK)
	return strings.Contains(a.body, `"degraded"`) && strings.Contains(a.body, `"part":"log"`) && strings.Contains(a.body, detail)
}

// TestUnreadLogDelaysNeitherRequestsNorTheEnd: waiting lines are written if the log is
// read later, and all requests are counted.
func TestUnreadLogDelaysNeitherRequestsNorTheEnd(t *testing.T) {
	t.Parallel()
	s, state := newStack(t, false), t.TempDir()
	_, unread := pipe(t)
	g := s.gatewayLoggingTo(unread, "RATE=0", "STATE_DIR="+state)
	one := g.as("app-one")
	const requests = 2000 // a pipe holds 64 KiB, a tenth of their lines
	for range requests {
		one.get(keyOne).is(http.StatusOK)
	}
	eventually(t, "readiness to be degraded", func() bool { return g.isLogDegraded("the log has not been read") })
	if n := g.lostLogLines(); n != 0 {
		t.Errorf("%d lines were lost although there was room", n)
	}
	began := time.Now()
	if code := g.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
	t.Logf("it ended within %v", time.Since(began))
	again := s.gateway("RATE=0", "STATE_DIR="+state)
	if got := total(again.as("app-one").counts("/api/v1/organizations/org-root" + lastDayQuery("1hour"))); got != requests {
		t.Errorf("%d requests are counted, want %d", got, requests)
	}
}

// TestLogThatIsReadLateIsCompleteAndInOrder reads a log that is longer than the buffer
// of a pipe.
func TestLogThatIsReadLateIsCompleteAndInOrder(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	r, unread := pipe(t)
	g := s.gatewayLoggingTo(unread, "RATE=0")
	one := g.as("app-one")
	const requests = 500
	for i := range requests {
		one.get(keyOne, fmt.Sprintf("X-Request-Id: request-%d", i)).is(http.StatusOK)
	}
	g.signal(syscall.SIGTERM)
	log, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if code := g.wait(); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
	at := 0
	for _, want := range []string{`"serving"`, `"request-0"`, `"request-250"`, fmt.Sprintf(`"request-%d"`, requests-1), `"draining"`, `"stopped"`} {
		i := bytes.Index(log[at:], []byte(want))
		if i < 0 {
			t.Fatalf("the line %s does not follow the line before it, in\n%s", want, tail(string(log)))
		}
		at += i
	}
	if got := bytes.Count(log, []byte(`"request_id":"request-`)); got != requests {
		t.Errorf("the log has %d lines for %d requests", got, requests)
	}
}

// TestClosedLogPipeDoesNotStopTheGateway: lines that can no longer be written are
// counted as lost.
func TestClosedLogPipeDoesNotStopTheGateway(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	r, w := pipe(t)
	g := s.gatewayLoggingTo(w, "RATE=0")
	_ = r.Close()
	one := g.as("app-one")
	for range 20 {
		one.get(keyOne).is(http.StatusOK)
	}
	eventually(t, "the lines to be counted as lost", func() bool { return g.lostLogLines() >= 20 })
	if !g.isLogDegraded("lost") {
		t.Error("readiness is not degraded")
	}
	if code := g.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
}

// TestLogLinesOnAFullDiskAreCountedAsLost writes the log to /dev/full.
func TestLogLinesOnAFullDiskAreCountedAsLost(t *testing.T) {
	t.Parallel()
	disk, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this system has no /dev/full")
	}
	if err != nil {
		t.Fatal(err)
	}
	g := newStack(t, false).gatewayLoggingTo(disk, "RATE=0")
	one := g.as("app-one")
	for range 20 {
		one.get(keyOne).is(http.StatusOK)
	}
	eventually(t, "the lines to be counted as lost", func() bool { return g.lostLogLines() >= 20 })
	if code := g.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
}

// TestClosedStandardOutputDoesNotStopTheGateway closes the pipe of standard output, to
// which the traces are written too.
func TestClosedStandardOutputDoesNotStopTheGateway(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	r, w := pipe(t)
	_ = r.Close()
	clients, operators := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	cmd := exec.Command(programs.osgate)
	cmd.Env = s.environment("LISTEN="+clients, "ADMIN_LISTEN="+operators, "RATE=0",
		"OTEL_TRACES_EXPORTER=console", "OTEL_TRACES_SAMPLER=always_on", "OTEL_BSP_SCHEDULE_DELAY=10")
	cmd.Stdout, cmd.SysProcAttr = w, procAttr()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the program, which is killed
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_ = w.Close()
	g := &gateway{process: &process{t: t}, stack: s, url: "http://" + clients, admin: "http://" + operators}
	admin := client{t: t, base: g.admin}
	eventually(t, "osgate to be ready", func() bool {
		a, err := admin.try(http.MethodGet, "/readyz", "")
		return err == nil && a.status == http.StatusOK
	})
	g.as("app-one").get(keyOne).is(http.StatusOK)
	eventually(t, "the failures of exports", func() bool {
		return strings.Contains(admin.get("/metrics").body, "\n"+`osgate_telemetry_failures_total{osgate_telemetry_signal="traces"} 1`)
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("SIGTERM: %v, want exit code 0", err)
		}
	case <-time.After(testTimeout):
		t.Error("it does not end")
	}
}
