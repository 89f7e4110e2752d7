package redistest

import (
	_ "embed"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

//go:embed testdata/clock.c
var clockSource []byte

// Clock is the clock of a [Server] that [StartWithClock] has started.
type Clock struct {
	t    testing.TB
	file string // a file of eight bytes that the server maps into its memory
}

// StartWithClock is [Start] for a server whose clock can be set. It needs Linux, and
// gcc in PATH, and fails the test if they are missing.
func StartWithClock(t testing.TB, extra ...string) (*Server, *Clock) {
	t.Helper()
	needRedis(t)
	dir := t.TempDir()
	c := &Clock{t: t, file: filepath.Join(dir, "clock")}
	c.Set(0)
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("gcc", "-O2", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("this test needs gcc: %v\n%s", err, text)
	}
	s := start(t, []string{"LD_PRELOAD=" + library, "REDISTEST_CLOCK=" + c.file}, extra)
	return s, c
}

// Set sets the server's clock ahead of the machine's clock, or behind it if ahead is
// negative.
func (c *Clock) Set(ahead time.Duration) {
	c.t.Helper()
	file, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Write(binary.NativeEndian.AppendUint64(nil, uint64(ahead.Microseconds()))); err != nil {
		c.t.Fatal(err)
	}
}
