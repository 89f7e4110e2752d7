package e2e

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSystemdIsNotifiedOfEachState runs osgate as a unit of Type=notify-reload with a
// watchdog does, and reads its reports.
func TestSystemdIsNotifiedOfEachState(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() })
	// await reads reports until one begins with this line.
	await := func(line string) {
		t.Helper()
		for {
			_ = manager.SetReadDeadline(time.Now().Add(testTimeout))
			datagram := make([]byte, 1024)
			n, err := manager.Read(datagram)
			if err != nil {
				t.Fatalf("waiting for %s: %v", line, err)
			}
			if strings.HasPrefix(string(datagram[:n]), line) {
				return
			}
		}
	}
	s := newStack(t, false)
	environment := append(s.environment("DRAIN_DELAY=1s"), "NOTIFY_SOCKET="+address, "WATCHDOG_USEC=200000")
	g := &gateway{stack: s, process: startProgram(t, programs.osgate, environment)}
	await("READY=1\nSTATUS=ready")
	g.url, g.admin = g.listenerURL(0, "clients"), g.listenerURL(1, "admin")
	g.as("app-one").get(keyOne).is(http.StatusOK) // READY means that it serves
	await("WATCHDOG=1")
	await("WATCHDOG=1")
	g.signal(syscall.SIGHUP)
	await("RELOADING=1\nMONOTONIC_USEC=")
	await("READY=1")
	g.signal(syscall.SIGTERM)
	await("STOPPING=1\nEXTEND_TIMEOUT_USEC=")
	if code := g.wait(); code != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", code)
	}
}
