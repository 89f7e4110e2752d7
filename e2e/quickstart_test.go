package e2e

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestQuickStartWorksAsPasted runs the shell blocks of docs/quickstart-emulator.md
// against osdemo, in order and in one shell, and checks that the page describes their
// output.
func TestQuickStartWorksAsPasted(t *testing.T) {
	t.Parallel()
	requireProgram(t, "curl")
	page, err := os.ReadFile("../docs/quickstart-emulator.md")
	if err != nil {
		t.Fatal(err)
	}
	demo := startProgram(t, programs.osdemo, []string{"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0"})
	demo.stdout.await(t, "osdemo to print how to stop it", demo.ended, func(text string) bool { return strings.Contains(text, "Ctrl-C") })
	gateway := regexp.MustCompile(`(?m)^osgate +(http://\S+)`).FindStringSubmatch(demo.stdout.String())
	if gateway == nil {
		t.Fatalf("osdemo printed no address:\n%s", demo.stdout)
	}

	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 6 {
		t.Fatalf("the page has %d shell blocks", len(blocks))
	}
	script := "set -e\n"
	for _, block := range blocks {
		script += block[1]
	}
	const documented = "http://127.0.0.1:8080"
	if !strings.Contains(script, documented) {
		t.Fatalf("the blocks do not name %s", documented)
	}
	run := runProgram(t, "/bin/sh", nil, "-c", strings.ReplaceAll(script, documented, gateway[1]))
	if run.code != 0 {
		t.Errorf("exit code %d: %s", run.code, run.stderr)
	}
	for _, want := range []string{
		`{"values":[{"keyId":"KeyTwo"},{"keyId":"KeyOne"}],"nextPageToken":null}`,
		"Cache-Status: osgate; hit; ttl=", `"stringValue":"hello"`, `"stringValue":"hello again"`,
		`Proxy-Status: osgate; error=http_request_denied; details="bad-token"`, `"objectStoreRequestCount":`,
	} {
		if !strings.Contains(run.stdout, want) {
			t.Errorf("no %s in the output:\n%s", want, run.stdout)
		}
		if plain := strings.TrimSuffix(want, "ttl="); !strings.Contains(string(page), plain) && want != `"objectStoreRequestCount":` {
			t.Errorf("the page does not have %s", plain)
		}
	}
	if served := strings.Count(run.stdout, "200 after "); served != 30 {
		t.Errorf("%d of 30 requests got 200", served)
	}
	if code := demo.stop(syscall.SIGINT); code != 0 {
		t.Errorf("Ctrl-C: exit code %d, want 0", code)
	}
}
