//go:build deploy && linux

package packagetest

import (
	"bufio"
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// packages is the folder with the packages, as goreleaser writes them.
var packages = flag.String("packages", "", "folder with the packages; empty: they are not tested")

func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	out, err := exec.Command(program, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, arguments, err, out)
	}
	return string(out)
}

// absent reports whether none of the paths exists.
func absent(paths ...string) bool {
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// TestDebianPackageIsInstalledStartedUpgradedAndPurged does so on this machine, on
// which osgate must not be installed. It starts what the unit starts, as its user and
// with its settings.
func TestDebianPackageIsInstalledStartedUpgradedAndPurged(t *testing.T) {
	if *packages == "" {
		t.Skip("-packages is not given (make packages packages-test)")
	}
	found, err := filepath.Glob(filepath.Join(*packages, "*_linux_"+runtime.GOARCH+".deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v: want one package", found, err)
	}
	left := []string{"/usr/bin/osgate", "/etc/osgate", "/var/lib/osgate"}
	if !absent(left...) {
		t.Fatalf("one of %q exists: osgate is installed here", left)
	}
	t.Cleanup(func() { _ = exec.Command("dpkg", "--purge", "osgate").Run() })
	run(t, "dpkg", "--install", found[0])
	start(t)
	settings, err := os.OpenFile("/etc/osgate/osgate.env", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := settings.WriteString("OSGATE_RATE=7\n"); err != nil {
		t.Fatal(err)
	}
	if err := settings.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, "dpkg", "--install", found[0]) // as an upgrade
	if text := run(t, "cat", "/etc/osgate/osgate.env"); !strings.Contains(text, "OSGATE_RATE=7") {
		t.Errorf("the upgrade replaced the settings: %s", text)
	}
	start(t)
	run(t, "dpkg", "--purge", "osgate")
	if err := exec.Command("id", "osgate").Run(); err == nil || !absent(left...) {
		t.Errorf("the purge left one of %q, or the user", left)
	}
}

// start starts the gateway as the unit does, on other ports, and ends it.
func start(t *testing.T) {
	t.Helper()
	const service = `set -a; . /etc/osgate/osgate.env; OSGATE_LISTEN=127.0.0.1:18098 OSGATE_ADMIN_LISTEN=127.0.0.1:18099
		OSGATE_DRAIN_DELAY=0s; exec setpriv --reuid osgate --regid osgate --clear-groups /usr/bin/osgate serve`
	c := exec.Command("sh", "-c", service)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	running := started{lines: bufio.NewScanner(out)}
	running.address(t)
	if status, body := get(t, running.address(t)+"/livez"); status != 200 {
		t.Errorf("/livez: %d %s", status, body)
	}
	t.Logf("serves after %v", time.Since(begin).Round(time.Millisecond))
	if err := errors.Join(c.Process.Signal(syscall.SIGTERM), c.Wait()); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if absent("/var/lib/osgate/stats.db") {
		t.Error("no statistics in /var/lib/osgate")
	}
}
