//go:build deploy && linux

package packagetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machine is a copy of this machine in namespaces of its own: its files under a layer in
// memory, loopback as the only network, and a systemd as process 1. It ends with the
// test, and its changes with it.
type machine struct {
	t    *testing.T
	pid  string // of process 1, outside of the machine
	path string // of commands, with this Go
}

// bootTimeout limits the start of systemd on a busy machine.
const bootTimeout = 2 * time.Minute

// boot starts a machine with the systemd in this folder, "" for the installed one.
func boot(t *testing.T, systemd string) *machine {
	t.Helper()
	script, err := filepath.Abs("testdata/machine")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	var log bytes.Buffer
	c := exec.CommandContext(context.WithoutCancel(t.Context()), "unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child",
		script, folder, systemd)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		removeGroups(t, folder)
	})
	m := &machine{t: t, path: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" + strings.TrimSpace(run(t, "go", "env", "GOROOT")) + "/bin"}
	limit, tick := time.After(bootTimeout), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !m.booted(c.Process.Pid) {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no systemd runs after %v: it needs root, namespaces and an overlay file system\n%s", bootTimeout, log.String())
		}
	}
	return m
}

// booted looks for the systemd that is the child of a process, and reports whether its
// basic units are active.
func (m *machine) booted(parent int) bool {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil || len(children) == 0 {
		return false
	}
	m.pid = strings.TrimSpace(string(children))
	name, err := os.ReadFile(filepath.Join("/proc", m.pid, "comm"))
	return err == nil && string(name) == "systemd\n" && m.command("/", "systemctl is-active --quiet basic.target").Run() == nil
}

// removeGroups removes the control groups of the machine with this folder.
func removeGroups(t *testing.T, folder string) {
	const script = `mount -t cgroup2 none "$0"; group=$0/osgate-$(basename "$0")
		for try in $(seq 50); do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; [ -d "$group" ] || exit 0; sleep 0.1; done; exit 1`
	if out, err := exec.Command("unshare", "--mount", "bash", "-c", script, folder).CombinedOutput(); err != nil {
		t.Logf("removing the control groups: %v %s", err, out)
	}
}

// refused is a function of the scripts: the command that it runs must fail.
const refused = `refused() { if "$@" >/dev/null 2>&1; then echo "it succeeded: $*" >&2; return 1; fi; }
`

// command returns a command that runs a script in a folder of the machine, as root.
func (m *machine) command(folder, script string) *exec.Cmd {
	return exec.Command("nsenter", "--target", m.pid, "--all", "--root", "--wd",
		"env", "-i", "PATH="+m.path, "HOME=/root", "bash", "-euo", "pipefail", "-c", refused+`cd "$0"; `+script, folder)
}

// run runs a script in a folder of the machine, as root, and returns its output.
func (m *machine) run(folder, script string) string {
	m.t.Helper()
	out, err := m.command(folder, script).CombinedOutput()
	if err != nil {
		log, _ := m.command("/", "journalctl --no-pager --lines 40 --unit osgate; systemctl --no-pager status osgate").CombinedOutput()
		m.t.Fatalf("%s: %v\n%s\n%s", script, err, out, log)
	}
	return string(out)
}

// write writes an executable file of the machine.
func (m *machine) write(path, text string) {
	m.t.Helper()
	c := m.command("/", fmt.Sprintf("install -D -m 0755 /dev/stdin %q", path))
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("%s: %v %s", path, err, out)
	}
}
