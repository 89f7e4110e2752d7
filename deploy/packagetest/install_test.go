//go:build deploy && linux

package packagetest

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// commandsOf returns the commands of the first block of a section of docs/install.md,
// without their comments.
func commandsOf(t *testing.T, section string) (commands []string) {
	t.Helper()
	for line := range strings.Lines(readPage(t).take(t, section, "")) {
		command, _, _ := strings.Cut(line, "  #")
		commands = append(commands, strings.TrimSpace(command))
	}
	return commands
}

// launch starts a command that prints its addresses. It ends with the test.
func launch(t *testing.T, c *exec.Cmd) started {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceValue(func() error { return errors.Join(c.Process.Signal(syscall.SIGTERM), c.Wait()) })
	t.Cleanup(func() { _ = stop() })
	return started{lines: bufio.NewScanner(out), stop: stop}
}

// TestFreshCloneIsBuiltCheckedAndServes runs the commands of the section Program in a
// clone of this checkout.
func TestFreshCloneIsBuiltCheckedAndServes(t *testing.T) {
	commands := commandsOf(t, "Program")
	if len(commands) != 3 || commands[2] != "bin/osgate serve" {
		t.Fatalf("the section Program has the commands %q, want build, check and serve", commands)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	runIn(t, ".", "git", "clone", "--quiet", "--no-hardlinks", "../..", clone)
	began := time.Now()
	runIn(t, clone, "sh", "-c", commands[0])
	t.Logf("%s: %v", commands[0], time.Since(began).Round(time.Second))
	for _, program := range []string{"osgate", "osemu", "osdemo"} {
		info, err := os.Stat(filepath.Join(clone, "bin", program))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("bin/%s: %.1f MB", program, float64(info.Size())/1e6)
	}
	upstream := launch(t, exec.Command(filepath.Join(clone, "bin/osemu"), "-listen", "127.0.0.1:0")).address(t)
	in := func(command string) *exec.Cmd {
		c := exec.Command("sh", "-c", "exec "+command)
		c.Dir = clone
		c.Env = []string{
			"PATH=" + os.Getenv("PATH"), "OSGATE_UPSTREAM_OVERRIDE=" + upstream, "OSGATE_DEFAULT_REGION=us/us-east-1",
			"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0", "OSGATE_DRAIN_DELAY=0s",
			"OSGATE_STATE_DIR=" + filepath.Join(clone, "state"),
		}
		return c
	}
	check := func() {
		if out, err := in(commands[1]).CombinedOutput(); err != nil || !strings.Contains(string(out), "is valid") {
			t.Errorf("%s: %v %s", commands[1], err, out)
		}
	}
	check()
	began = time.Now()
	serving := launch(t, in(commands[2]))
	serving.address(t)
	admin := serving.address(t)
	t.Logf("%s: listens after %v", commands[2], time.Since(began).Round(time.Millisecond))
	if status, body := get(t, admin+"/readyz"); status != 200 {
		t.Errorf("/readyz: %d %s", status, body)
	}
	check() // beside the gateway, with the same settings
	if err := serving.stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}
