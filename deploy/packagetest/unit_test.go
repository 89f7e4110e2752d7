//go:build deploy && linux

package packagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// analyze runs systemd-analyze. OSGATE_TEST_SYSTEMD names the folder in which a version
// with Type=notify-reload (253) was unpacked; empty: the installed one is used.
func analyze(t *testing.T, arguments ...string) string {
	t.Helper()
	program, environment := "systemd-analyze", os.Environ()
	if root := os.Getenv("OSGATE_TEST_SYSTEMD"); root != "" {
		program = filepath.Join(root, "usr/bin/systemd-analyze")
		libraries, err := filepath.Glob(filepath.Join(root, "usr/lib/*/systemd"))
		if err != nil || len(libraries) != 1 {
			t.Fatalf("%s holds %q, want one folder with the libraries of systemd", root, libraries)
		}
		environment = append(environment, "LD_LIBRARY_PATH="+libraries[0])
	}
	c := exec.Command(program, arguments...)
	c.Env = environment
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %q: %v\n%s", arguments, err, out)
	}
	return string(out)
}

// TestUnitIsHardened checks the rating of the unit.
func TestUnitIsHardened(t *testing.T) {
	out := analyze(t, "security", "--offline=true", "--no-pager", "../systemd/osgate.service")
	match := regexp.MustCompile(`Overall exposure level for osgate.service: ([0-9.]+)`).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("no rating in %s", out)
	}
	if rating, err := strconv.ParseFloat(match[1], 64); err != nil || rating > 2.0 {
		t.Errorf("the exposure is %s, want 2.0 at most\n%s", match[1], out)
	}
}

// TestUnitHasNoFault runs systemd's own check, with a program that exists here.
func TestUnitHasNoFault(t *testing.T) {
	unit, err := os.ReadFile("../systemd/osgate.service")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(unit), "/usr/bin/osgate", "/bin/true")
	if strings.Count(text, "/bin/true") != 1 {
		t.Fatal("the unit does not start /usr/bin/osgate once")
	}
	path := filepath.Join(t.TempDir(), "osgate.service")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := analyze(t, "verify", "--man=no", path); strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
}
