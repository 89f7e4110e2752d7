package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestEachCurlOfTheDemoWorksAsPasted runs osdemo, and executes each printed line that
// begins with "curl " in a shell, in order. If the comment above a line has a status
// ("401") the response must have it; otherwise it must be 2xx.
func TestEachCurlOfTheDemoWorksAsPasted(t *testing.T) {
	t.Parallel()
	requireProgram(t, "curl")
	demo := startProgram(t, programs.osdemo, []string{"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0"})
	demo.stdout.await(t, "osdemo to print how to stop it", demo.ended, func(text string) bool { return strings.Contains(text, "Ctrl-C") })

	// A .curlrc makes curl print the status of each response, without a change to the
	// line.
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("write-out = \"%{stderr}status=%{http_code}\\n\"\nmax-time = 20\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	curls, comment := 0, ""
	for line := range strings.Lines(demo.stdout.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			comment = line
		}
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		curls++
		run := runProgram(t, "/bin/sh", []string{"CURL_HOME=" + home}, "-c", line)
		if run.code != 0 {
			t.Errorf("%s\nexit code %d: %s", line, run.code, run.stderr)
		}
		want := `2\d\d`
		if named := regexp.MustCompile(`\b[345]\d\d,`).FindString(comment); named != "" {
			want = strings.TrimSuffix(named, ",")
		}
		checkStatuses(t, line, run, want)
		comment = ""
	}
	if curls < 5 {
		t.Errorf("osdemo printed %d lines that begin with curl, want the journey:\n%s", curls, demo.stdout)
	}
	if code := demo.stop(syscall.SIGINT); code != 0 {
		t.Errorf("Ctrl-C: exit code %d, want 0", code)
	}
}

// checkStatuses checks the status of each response to a line. The output of a line with
// a write-out of its own begins with the status.
func checkStatuses(t *testing.T, line string, run programResult, want string) {
	t.Helper()
	statuses := regexp.MustCompile(`(?m)^status=(\d+)$`).FindAllStringSubmatch(run.stderr, -1)
	if statuses == nil {
		statuses = regexp.MustCompile(`(?m)^(\d{3})\b`).FindAllStringSubmatch(run.stdout, -1)
	}
	if statuses == nil {
		t.Errorf("%s\nno status in %s%s", line, run.stdout, run.stderr)
	}
	expected := regexp.MustCompile(`^` + want + `$`)
	for _, s := range statuses {
		if !expected.MatchString(s[1]) {
			t.Errorf("%s\nthe answer is %s, want %s:\n%s", line, s[1], want, run.stdout)
			return
		}
	}
}
