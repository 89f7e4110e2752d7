package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"osgate/audit"
)

// auditFiles writes an audit file, renames it, and writes another one.
func auditFiles(t *testing.T, secret []byte) (first, second string) {
	t.Helper()
	second = filepath.Join(t.TempDir(), "audit.jsonl")
	first = second + ".1"
	w, err := audit.New(audit.Options{Path: second, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	w.Act(audit.Action{Time: time.Now(), Name: "purge"})
	for w.Stats().Lines < 2 {
		<-time.After(time.Millisecond)
	}
	if err := os.Rename(second, first); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return first, second
}

func TestAuditVerifyFindsChanges(t *testing.T) {
	key := bytes.Repeat([]byte("k"), 32)
	first, second := auditFiles(t, key)
	secret := "OSGATE_SECRET=" + "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
	text, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	s, err := audit.Verify(bytes.NewReader(text), audit.VerifyOptions{Secret: key})
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "changed")
	if err := os.WriteFile(changed, bytes.Replace(text, []byte("purge"), []byte("drink"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		status  int
		says    string
	}{
		{"whole", []string{secret}, []string{first}, exitOK, "lines        2 (1 to 2)"},
		{"its head", []string{secret}, []string{first}, exitOK, "head         " + s.Head.String()},
		{"the head first", []string{secret}, []string{"-head", s.Head.String(), first}, exitOK, "whole"},
		{"the head last", []string{secret}, []string{first, "-head", s.Head.String()}, exitOK, "whole"},
		{"another head", []string{secret}, []string{second, "-head", s.Head.String()}, exitFailed, "the end of the file is missing"},
		{"both", []string{secret}, []string{first, second}, exitOK, "follows      " + s.Head.String()},
		{"in another order", []string{secret}, []string{second, first}, exitFailed, "line 1: it does not follow the last line of " + second},
		{"changed", []string{secret}, []string{changed}, exitFailed, changed + ": line 2: it was changed"},
		{"without the secret", nil, []string{first}, exitOK, "not checked  2 macs"},
		{"another secret", []string{strings.ReplaceAll(secret, "a2t", "a2x")}, []string{first}, exitFailed, "line 1: it was changed"},
		{"no file", nil, []string{first + "x"}, exitMisuse, "no such file"},
		{"no argument", nil, nil, exitMisuse, auditUsage},
		{"an unknown flag", nil, []string{first, "-flyy"}, exitMisuse, "flyy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, out, complaints := ran(t, tt.environ, append([]string{"audit", "verify"}, tt.args...)...)
			if status != tt.status || !strings.Contains(out+complaints, tt.says) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", status, tt.status, tt.says, out, complaints)
			}
		})
	}
	var out bytes.Buffer
	p := &program{environ: []string{secret}, in: bytes.NewReader(text), out: &out, err: &out}
	if status := p.run(t.Context(), []string{"audit", "verify", "-"}); status != exitOK || !strings.Contains(out.String(), fmt.Sprint("head         ", s.Head)) {
		t.Errorf("standard input: exit %d\n%s", status, out.String())
	}
	if status, _, complaints := ran(t, nil, "audit", "check", first); status != exitMisuse || !strings.Contains(complaints, auditUsage) {
		t.Errorf("exit %d, %s", status, complaints)
	}
}
