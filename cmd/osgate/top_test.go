package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// An overview, and the frame of it where the output is no terminal. They are data of
// package top's own tests.
const (
	overviewFile = "../internal/top/testdata/overview.json"
	goldenFile   = "../internal/top/testdata/120-unbounded.golden"
)

// gatewayOf returns the address of an admin listener that answers with status and body
// if the request has this token.
func gatewayOf(t *testing.T, token string, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/api/overview" {
			status = http.StatusTeapot
		}
		if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTopPrintsOnePlainFrameWithoutATerminal(t *testing.T) {
	body, err := os.ReadFile(overviewFile)
	if err != nil {
		t.Fatal(err)
	}
	address := gatewayOf(t, "the-token", http.StatusOK, string(body))
	listen := "OSGATE_ADMIN_LISTEN=" + strings.TrimPrefix(address, "http://")
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"top"}, {"top", "-once"}, {"top", "-admin", address}, {"top", "-admin", strings.TrimPrefix(address, "http://") + "/"}} {
		environ := []string{"OSGATE_ADMIN_TOKEN=the-token", "TERM=xterm", "OSGATE_POLICY=/is/not/there"}
		if len(args) < 3 {
			environ = append(environ, listen)
		}
		status, out, complaints := ran(t, environ, args...)
		if got := strings.ReplaceAll(out, address, "http://127.0.0.1:8081"); status != exitOK || got != string(want) {
			t.Errorf("%q: exit %d, %s\n%s", args, status, complaints, got)
		}
	}
	status, out, _ := ran(t, []string{"OSGATE_ADMIN_TOKEN=the-token", "COLUMNS=50", listen}, "top")
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); status != exitOK || n > 50 {
			t.Errorf("exit %d, %d characters: %s", status, n, line)
		}
	}
}

func TestTopReportsWhyItHasNoFigures(t *testing.T) {
	for _, tt := range []struct {
		name, admin, says string
	}{
		{"nobody there", "http://127.0.0.1:1", "connection refused"},
		{"another token", gatewayOf(t, "another", http.StatusOK, "{}"), "OSGATE_ADMIN_TOKEN"},
		{"no admin listener", gatewayOf(t, "", http.StatusNotFound, ""), "answered 404"},
		{"a redirect", gatewayOf(t, "", http.StatusFound, ""), "answered 302"},
		{"no JSON", gatewayOf(t, "", http.StatusOK, "<html>"), "reading the overview"},
		{"too much", gatewayOf(t, "", http.StatusOK, `{"version":"`+strings.Repeat("x", 4<<20)+`"}`), "more than"},
	} {
		status, out, complaints := ran(t, []string{"OSGATE_ADMIN_TOKEN=mine-alone"}, "top", "-admin", tt.admin)
		if status != exitFailed || out != "" || !strings.Contains(complaints, tt.says) || !strings.Contains(complaints, tt.admin) || strings.Count(complaints, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q, want 1 and %q", tt.name, status, out, complaints, tt.says)
		}
		if strings.Contains(complaints, "mine-alone") {
			t.Errorf("%s: the token is in the message", tt.name)
		}
	}
}

func TestTopRefusesMisuse(t *testing.T) {
	for _, args := range [][]string{
		{"x"}, {"-x"}, {"-interval", "1ms"}, {"-interval", "2h"}, {"-interval", "x"}, {"-admin", "ftp://x"}, {"-admin", "http://"}, {"-admin", "http://user:word@x"}, {"-admin", "http://x?y"},
	} {
		status, out, complaints := ran(t, nil, append([]string{"top"}, args...)...)
		if status != exitMisuse || out != "" || strings.Count(complaints, "\n") != 1 || strings.Contains(complaints, "word") {
			t.Errorf("%q: exit %d, %q, %q", args, status, out, complaints)
		}
	}
}
