package gateway

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSystemdFollowsTheGateway reads the reports of a gateway from its start to its
// end.
func TestSystemdFollowsTheGateway(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	// next returns the next report that is not a sign of life alone.
	next := func() string {
		t.Helper()
		for {
			_ = manager.SetReadDeadline(time.Now().Add(time.Minute))
			datagram := make([]byte, 1024)
			n, err := manager.Read(datagram)
			if err != nil {
				t.Fatal(err)
			}
			if report := string(datagram[:n]); report != "WATCHDOG=1" {
				return report
			}
		}
	}
	log := &journal{}
	g, err := New(Options{
		Config: configured(t, "OSGATE_DRAIN_TIMEOUT=20s"), Logger: slog.New(slog.NewJSONHandler(log, nil)), Version: "test",
		Environ: []string{"NOTIFY_SOCKET=/not/this", "NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=100000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	if got := next(); got != "READY=1\nSTATUS=ready" {
		t.Errorf("at the start %q", got)
	}
	if got := next(); got != "WATCHDOG=1\nSTATUS=ready" {
		t.Errorf("the first sign of life is %q", got)
	}
	g.Reload()
	if got := next(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("at a reload %q", got)
	}
	if got := next(); got != "READY=1\nSTATUS=ready" {
		t.Errorf("after a reload %q", got)
	}
	cancel()
	if got := next(); got != "STOPPING=1\nEXTEND_TIMEOUT_USEC=45000000\nSTATUS=draining" {
		t.Errorf("at the end %q", got)
	}
	if err := <-done; err != nil || strings.Contains(log.String(), "notified") {
		t.Errorf("Run: %v, log %s", err, log)
	}
}

func TestGatewayServesWithoutSystemd(t *testing.T) {
	log := &journal{}
	g, err := New(Options{
		Config: configured(t), Logger: slog.New(slog.NewJSONHandler(log, nil)),
		Environ: []string{"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "none")},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil || !strings.Contains(log.String(), "systemd cannot be notified") {
		t.Errorf("Run: %v, log %s", err, log)
	}
	_, err = New(Options{Config: configured(t), Logger: slog.New(slog.DiscardHandler), Environ: []string{"NOTIFY_SOCKET=vsock:1"}})
	if err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Errorf("a socket that cannot be used: %v", err)
	}
}
