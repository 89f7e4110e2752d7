package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// manager is systemd's side of the socket.
type manager struct {
	t *testing.T
	*net.UnixConn
}

// newManager opens a socket at a path, or at an abstract name that begins with @.
func newManager(t *testing.T, address string) manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return manager{t, c}
}

// next returns the next report.
func (m manager) next() string {
	m.t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		m.t.Fatal(err)
	}
	datagram := make([]byte, 4096)
	n, err := m.Read(datagram)
	if err != nil {
		m.t.Fatalf("no report: %v", err)
	}
	return string(datagram[:n])
}

// lookup returns a function that returns the values of variables ("NAME=value").
func lookup(variables ...string) func(string) string {
	return func(name string) string {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func newNotifier(t *testing.T, variables ...string) *Notifier {
	t.Helper()
	n, err := New(lookup(variables...), 7)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sockets returns the addresses of both kinds that systemd uses.
func sockets(t *testing.T) []string {
	t.Helper()
	all := []string{filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		all = append(all, fmt.Sprintf("@osgate-test-%d", os.Getpid()))
	}
	return all
}

func TestNotifierSendsEachState(t *testing.T) {
	for _, socket := range sockets(t) {
		m, n := newManager(t, socket), newNotifier(t, "NOTIFY_SOCKET="+socket)
		if err := n.Ready("serving\nREADY=0"); err != nil {
			t.Fatal(err)
		}
		if got, want := m.next(), "READY=1\nSTATUS=serving READY=0"; got != want {
			t.Errorf("%s: ready is %q, want %q", socket, got, want)
		}
		if err := n.Stopping("draining", 90*time.Second); err != nil {
			t.Fatal(err)
		}
		if got, want := m.next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000\nSTATUS=draining"; got != want {
			t.Errorf("%s: stopping is %q, want %q", socket, got, want)
		}
	}
}

func TestAReloadHasTheTimeOfSystemdsClock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd runs on Linux")
	}
	socket := sockets(t)[0]
	m, n := newManager(t, socket), newNotifier(t, "NOTIFY_SOCKET="+socket)
	before, _ := monotonic()
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	after, _ := monotonic()
	report := m.next()
	first, rest, _ := strings.Cut(report, "\n")
	text, _, _ := strings.Cut(strings.TrimPrefix(rest, "MONOTONIC_USEC="), "\n")
	at, err := strconv.ParseInt(text, 10, 64)
	if first != "RELOADING=1" || err != nil || at < before.Microseconds() || at > after.Microseconds() {
		t.Errorf("%q, want RELOADING=1 and a time from %d to %d", report, before.Microseconds(), after.Microseconds())
	}
}

func TestWithoutSystemdNothingIsSent(t *testing.T) {
	n := newNotifier(t, "WATCHDOG_USEC=1000")
	if n != nil {
		t.Fatal("a Notifier without NOTIFY_SOCKET")
	}
	unused := func() string { t.Error("the status was read"); return "" }
	for _, err := range []error{
		n.Ready(""), n.Reloading(), n.Stopping("", 0), n.Run(t.Context(), unused, func(err error) { t.Error(err) }),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestAddressesThatCannotBeUsedAreErrors(t *testing.T) {
	for _, variables := range [][]string{
		{"NOTIFY_SOCKET=vsock:2:1234"}, {"NOTIFY_SOCKET=relative"}, {"NOTIFY_SOCKET=@"}, {"NOTIFY_SOCKET=/"},
		{"NOTIFY_SOCKET=/n", "WATCHDOG_USEC=soon"}, {"NOTIFY_SOCKET=/n", "WATCHDOG_USEC=0"},
		{"NOTIFY_SOCKET=/n", "WATCHDOG_USEC=9223372036854775807"},
	} {
		if _, err := New(lookup(variables...), 7); err == nil {
			t.Errorf("%q is accepted", variables)
		}
	}
	n := newNotifier(t, "NOTIFY_SOCKET="+filepath.Join(t.TempDir(), "none"))
	if err := n.Ready(""); err == nil {
		t.Error("no error although nobody listens")
	}
}

// run starts Run with a status that a test can change and block.
func run(t *testing.T, n *Notifier, status func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- n.Run(ctx, status, func(err error) { t.Errorf("report: %v", err) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// TestWatchdogGetsSignsOfLifeWhileTheProcessAnswers blocks the status: then there are
// no signs of life.
func TestWatchdogGetsSignsOfLifeWhileTheProcessAnswers(t *testing.T) {
	socket := sockets(t)[0]
	m := newManager(t, socket)
	n := newNotifier(t, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=20000", "WATCHDOG_PID=7")
	var status atomic.Value
	status.Store("ready")
	asked, blocked := make(chan struct{}), make(chan struct{})
	run(t, n, func() string {
		if status.Load() == "blocked" {
			close(asked)
			<-blocked
			status.Store("ready")
		}
		return fmt.Sprint(status.Load())
	})
	for _, want := range []string{"WATCHDOG=1\nSTATUS=ready", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := m.next(); got != want {
			t.Errorf("report %q, want %q", got, want)
		}
	}
	status.Store("blocked")
	<-asked
	if err := m.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil { // ten signs of life
		t.Fatal(err)
	}
	for n, err := 1, error(nil); err == nil && n > 0; { // those sent before
		n, err = m.Read(make([]byte, 100))
	}
	if err := m.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Read(make([]byte, 100)); err == nil {
		t.Errorf("a report of %d bytes from a process that does not answer", n)
	}
	close(blocked)
	if got := m.next(); got != "WATCHDOG=1" {
		t.Errorf("after the block %q, want WATCHDOG=1", got)
	}
}

func TestWatchdogOfAnotherProcessIsLeftAlone(t *testing.T) {
	n := newNotifier(t, "NOTIFY_SOCKET=/n", "WATCHDOG_USEC=20000", "WATCHDOG_PID=8")
	if n.watchdog != 0 {
		t.Errorf("watchdog every %v, want none", n.watchdog)
	}
}
