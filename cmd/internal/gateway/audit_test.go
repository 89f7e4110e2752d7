package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"osgate/audit"
)

// TestAuditFileHasWritesRefusalsAndActions in one chain, which a file that SIGHUP begins
// after the former one was renamed continues.
func TestAuditFileHasWritesRefusalsAndActions(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_AUDIT_FILE="+path))
	client := &http.Client{}
	token := mint(t, client, g.ClientsURL())
	send := func(method, url, token, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	send(http.MethodGet, g.ClientsURL()+key, token, "") // no line
	send(http.MethodDelete, g.ClientsURL()+key, token, "")
	send(http.MethodGet, g.ClientsURL()+key, "wrong", "")
	send(http.MethodPost, g.AdminURL()+"/cache/purge", "", `{"all":true}`)
	waitForLines(t, path, 3)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	g.Reload()
	send(http.MethodDelete, g.ClientsURL()+key, token, "")
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]map[string]uint64{
		path + ".1": {"exchange": 2, "action": 1}, path: {"exchange": 1},
	} {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := audit.Verify(f, audit.VerifyOptions{})
		_ = f.Close()
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		for kind, n := range want {
			if sum.Kinds[kind] != n {
				t.Errorf("%s has %d lines of kind %s, want %d", filepath.Base(file), sum.Kinds[kind], kind, n)
			}
		}
		if chained := sum.Before != ""; chained != (file == path) {
			t.Errorf("%s continues another file: %v", filepath.Base(file), chained)
		}
	}
}

// waitForLines waits until a file has n lines. Lines are written after their answers.
func waitForLines(t *testing.T, path string, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(text, []byte{'\n'}) >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has %q, want %d lines", filepath.Base(path), text, n)
		}
	}
}

func TestSecondGatewayDoesNotShareTheAuditFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	w, err := audit.New(audit.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close(context.WithoutCancel(t.Context())) }()
	c := configured(t, "OSGATE_AUDIT_FILE="+path)
	if _, err := New(Options{Config: c, Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "OSGATE_AUDIT_FILE") {
		t.Errorf("error %v, want one that names OSGATE_AUDIT_FILE", err)
	}
	if _, shut, err := Proxy(Options{Config: c, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Errorf("osgate explain beside a running gateway: %v", err)
	} else {
		_ = shut()
	}
}
