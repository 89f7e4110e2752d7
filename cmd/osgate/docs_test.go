package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"osgate/config"
)

// documentation returns the output of osgate docs.
func documentation(t *testing.T, args ...string) string {
	t.Helper()
	status, out, complaints := ran(t, []string{"OSGATE_RATE=-1"}, append([]string{"docs"}, args...)...)
	if status != exitOK {
		t.Fatalf("docs %q: exit %d, %s", args, status, complaints)
	}
	return out
}

func TestManualPageNamesEveryCommandAndSetting(t *testing.T) {
	page := documentation(t, "man")
	for _, c := range commands() {
		if !strings.Contains(page, ".TP\n\\fB"+c.name+"\\fR") {
			t.Errorf("the page lacks the command %s", c.name)
		}
	}
	for _, v := range config.Variables() {
		if !strings.Contains(page, ".TP\n.B "+v.Name+"\n") {
			t.Errorf("the page lacks %s", v.Name)
		}
	}
	requests := []string{".TH", ".ad", ".SH", ".TP", ".B", ".RS", ".RE", ".I"}
	for line := range strings.Lines(page) {
		request, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(request, ".") && !slices.Contains(requests, request) || strings.HasPrefix(line, "'") {
			t.Errorf("a text begins like a request: %s", line)
		}
	}
}

// TestCommandsDocumentEachFlag compares the table with the messages about misuse.
func TestCommandsDocumentEachFlag(t *testing.T) {
	flags := regexp.MustCompile(`(?:^|[ \[])(-[A-Za-z][a-z-]*)`)
	for name, text := range map[string]string{
		"explain": explainUsage, "stats": reconcileUsage, "policy": policyUsage, "audit": auditUsage, "top": topUsage,
		"env": "env accepts only -markdown", "serve": "", "check": "", "healthcheck": "", "version": "", "help": "",
	} {
		var want, got []string
		for _, match := range flags.FindAllStringSubmatch(text, -1) {
			want = append(want, match[1])
		}
		at := slices.IndexFunc(commands(), func(c command) bool { return c.name == name })
		if at < 0 {
			t.Errorf("no command %s", name)
			continue
		}
		for _, o := range commands()[at].options {
			got = append(got, o.name)
			if o.meaning == "" || strings.HasSuffix(o.meaning, ".") {
				t.Errorf("%s %s: %q is not one line without a full stop", name, o.name, o.meaning)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s has the flags %q, and the table %q", name, want, got)
		}
	}
}

// TestBashCompletesCommandsAndFlags runs the script.
func TestBashCompletesCommandsAndFlags(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	script := documentation(t, "completion", "bash")
	for line, want := range map[string]string{
		"osgate he": "healthcheck help", "osgate top -a": "-admin", "osgate policy re": "replay",
		"osgate stats -client": "-client-id -client-secret-file", "osgate check x": "",
	} {
		words := strings.Fields(line)
		asked := fmt.Sprintf("%s\nCOMP_WORDS=(%s)\nCOMP_CWORD=%d\n_osgate\necho \"${COMPREPLY[*]}\"",
			script, line, len(words)-1)
		out, err := exec.Command(bash, "-c", asked).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q is completed by %q, %v; want %q", line, got, err, want)
		}
	}
}

// TestOtherShellsCompleteEachCommand checks the scripts, as far as the shells are here.
func TestOtherShellsCompleteEachCommand(t *testing.T) {
	for _, shell := range []string{"zsh", "fish"} {
		script := documentation(t, "completion", shell)
		for _, c := range commands() {
			if !strings.Contains(script, c.name) ||
				len(c.options) > 0 && !strings.Contains(script, strings.Trim(c.options[0].name, "-")) {
				t.Errorf("%s: nothing about %s", shell, c.name)
			}
		}
		if program, err := exec.LookPath(shell); err == nil {
			check := exec.Command(program, "-n")
			check.Stdin = strings.NewReader(script)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v %s", shell, err, out)
			}
		}
	}
	for _, args := range [][]string{{"docs"}, {"docs", "completion"}, {"docs", "completion", "csh"}, {"docs", "man", "x"}} {
		if status, _, complaints := ran(t, nil, args...); status != exitMisuse || !strings.Contains(complaints, "docs takes") {
			t.Errorf("%q: exit %d, %s", args, status, complaints)
		}
	}
}
