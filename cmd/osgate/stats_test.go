package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"osgate/cmd/internal/gateway"
	"osgate/emulator"
)

const demoKey = "/api/v1/organizations/org-root/environments/env-prod/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys/KeyOne"

// reconciling is an emulator with a gateway in front of it, and one environment for
// both the gateway and the command.
type reconciling struct {
	environ         []string
	vendor, gateway string // base URLs
	token           string
}

func startReconciling(t *testing.T) *reconciling {
	t.Helper()
	e, err := emulator.New(emulator.Options{Rate: -1})
	if err != nil {
		t.Fatal(err)
	}
	vendor := httptest.NewServer(e)
	t.Cleanup(func() { vendor.Close(); _ = e.Close() })
	environ := []string{
		"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0", "OSGATE_DEFAULT_REGION=us-east-1", "OSGATE_DRAIN_DELAY=0s",
		"OSGATE_UPSTREAM_OVERRIDE=" + vendor.URL, "OSGATE_RATE=0",
	}
	c, err := gateway.Configure(environ)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopping the gateway: %v", err)
		}
	})
	r := &reconciling{environ: environ, vendor: vendor.URL, gateway: g.ClientsURL()}
	r.token = r.mint(t)
	return r
}

func (r *reconciling) mint(t *testing.T) string {
	t.Helper()
	answer, err := http.Post(r.vendor+"/us"+tokenPath, "application/x-www-form-urlencoded",
		strings.NewReader("client_id=app-one&client_secret=secret-one&grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var grant struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&grant); err != nil || grant.Token == "" {
		t.Fatalf("no token: %d, %v", answer.StatusCode, err)
	}
	return grant.Token
}

// read reads the key n times through base.
func (r *reconciling) read(t *testing.T, base string, n int) {
	t.Helper()
	for range n {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/us/us-east-1"+demoKey, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+r.token)
		q.Header.Set("Cache-Control", "no-cache")
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s answered %d", base, answer.StatusCode)
		}
	}
}

// run runs stats reconcile over today with the token in its environment.
func (r *reconciling) run(t *testing.T, extra ...string) (status int, out, complaints string) {
	t.Helper()
	return r.runWith(t, append(r.environ, "OSGATE_TOKEN="+r.token), extra...)
}

func (r *reconciling) runWith(t *testing.T, environ []string, extra ...string) (status int, out, complaints string) {
	t.Helper()
	now := time.Now().UTC()
	var o, e bytes.Buffer
	p := &program{environ: environ, out: &o, err: &e}
	status = p.run(t.Context(), append([]string{
		"stats", "reconcile", "-org", "org-root", "-from", now.AddDate(0, 0, -1).Format(time.DateOnly), "-to", now.Format(time.RFC3339), "-gateway", r.gateway,
	}, extra...))
	return status, o.String(), e.String()
}

// settled runs stats reconcile until the gateway has flushed its counts and the report
// contains the wanted text.
func (r *reconciling) settled(t *testing.T, wanted string, extra ...string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		_, out, complaints := r.run(t, extra...)
		if strings.Contains(out, wanted) {
			return
		}
		if complaints != "" || time.Now().After(end) {
			t.Fatalf("the output never contains %q: %s%s", wanted, out, complaints)
		}
	}
}

func TestReconcileShowsWhatBypassesTheGateway(t *testing.T) {
	t.Parallel()
	r := startReconciling(t)
	r.read(t, r.gateway, 5) // and the gateway requests the store itself, for its TTL
	const line = "env-prod     us-east-1  APP_demo__defaultPersistentObjectStore  "
	r.settled(t, "total,,,6,6,0\r\n", "-format", "csv")
	status, out, _ := r.run(t)
	if status != exitOK || !strings.Contains(out, line+"6       6     0\n") {
		t.Fatalf("exit %d, want 0 and no difference:\n%s", status, out)
	}
	r.read(t, r.vendor, 2)
	status, out, _ = r.run(t)
	if status != exitFailed || !strings.Contains(out, line+"8       6     2\n") {
		t.Errorf("exit %d, want 1 and a difference of 2:\n%s", status, out)
	}
	if status, out, _ = r.run(t, "-tolerance", "25", "-format", "csv", "-period", "1hour"); status != exitOK || !strings.Contains(out, ",8,6,2\r\n") {
		t.Errorf("with tolerance: exit %d\n%s", status, out)
	}
	if status, out, _ = r.run(t, "-format", "json", "-unit", "billing"); status != exitFailed || !strings.Contains(out, `"difference": 2`) {
		t.Errorf("as JSON: exit %d\n%s", status, out)
	}
}

func TestReconcileGetsATokenByItself(t *testing.T) {
	t.Parallel()
	r := startReconciling(t)
	file := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) {
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret-one\n")
	credentials := []string{"-client-id", "app-one", "-client-secret-file", file}
	if status, out, complaints := r.runWith(t, r.environ, credentials...); status != exitOK || !strings.Contains(out, "total") {
		t.Errorf("exit %d: %s%s", status, out, complaints)
	}
	if status, _, complaints := r.run(t, credentials...); status != exitMisuse || !strings.Contains(complaints, "both") {
		t.Errorf("with a token too: exit %d: %s", status, complaints)
	}
	write("not-the-secret")
	status, out, complaints := r.runWith(t, r.environ, credentials...)
	if status != exitMisuse || out != "" || !strings.Contains(complaints, "401") || strings.Contains(complaints, "not-the-secret") {
		t.Errorf("with another secret: exit %d: %s%s", status, out, complaints)
	}
	write("\n")
	if status, _, complaints = r.runWith(t, r.environ, credentials...); status != exitMisuse || !strings.Contains(complaints, "empty") {
		t.Errorf("with an empty file: exit %d: %s", status, complaints)
	}
}

// TestReconcileFailsWithStatus2 checks that failures differ from differences, fit in
// one line and do not show the token.
func TestReconcileFailsWithStatus2(t *testing.T) {
	t.Parallel()
	r := startReconciling(t)
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		says    string
	}{
		{"no token", r.environ, nil, "a token is needed"},
		{"a token that is none", append(r.environ, "OSGATE_TOKEN=wrong-token"), nil, "401"},
		{"somebody else's organization", append(r.environ, "OSGATE_TOKEN="+r.token), []string{"-org", "org-other"}, "the vendor's Stats API: requesting organizations/org-other: it answered 403"},
		{"a plane without a Stats API", r.environ, []string{"-plane", "gov"}, "no Stats API in plane gov"},
		{"no plane", r.environ, []string{"-plane", "mars"}, "unknown -plane"},
		{"no such period", append(r.environ, "OSGATE_TOKEN="+r.token), []string{"-period", "1week"}, "the period must be"},
		{"no time", r.environ, []string{"-from", "yesterday"}, "-from"},
		{"what nobody keeps", append(r.environ, "OSGATE_TOKEN="+r.token), []string{"-from", "2024-01-01"}, "are kept for 12 months"},
		{"no organization", r.environ, []string{"-org", ""}, "-org is missing"},
		{"no unit", r.environ, []string{"-unit", "kilobytes"}, "-unit"},
		{"no format", r.environ, []string{"-format", "xml"}, "-format"},
		{"no number", r.environ, []string{"-tolerance", "NaN"}, "-tolerance"},
		{"no URL", append(r.environ, "OSGATE_TOKEN="+r.token), []string{"-gateway", "gateway:8080"}, "-gateway"},
		{"a secret without a client", r.environ, []string{"-client-secret-file", "x"}, "must be given together"},
		{"a secret as an argument", r.environ, []string{"-client-secret", "x"}, "-client-secret"},
		{"an argument", r.environ, []string{"now"}, "unexpected argument"},
		{"a configuration that cannot be used", append(r.environ, "OSGATE_RATE=-1"), nil, "OSGATE_RATE"},
	} {
		status, out, complaints := r.runWith(t, tt.environ, tt.args...)
		if status != exitMisuse || out != "" || !strings.Contains(complaints, tt.says) || strings.Contains(complaints, r.token) || strings.Contains(complaints, "wrong-token") {
			t.Errorf("%s: exit %d, %q, %q; want 2 and %q", tt.name, status, out, complaints, tt.says)
		}
	}
	if status, _, _ := ran(t, nil, "stats"); status != exitMisuse {
		t.Errorf("stats alone: exit %d", status)
	}
}

// TestReconcileReadsTheGatewayOfItsOwnConfiguration checks that the address for clients
// is used without -gateway.
func TestReconcileReadsTheGatewayOfItsOwnConfiguration(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		environ []string
		want    string
	}{
		{nil, "http://127.0.0.1:8080"},
		{[]string{"OSGATE_LISTEN=[::]:9000"}, "http://127.0.0.1:9000"},
		{[]string{"OSGATE_LISTEN=localhost:9000", "OSGATE_TLS_CERT=c", "OSGATE_TLS_KEY=k"}, "https://localhost:9000"},
	} {
		c, err := gateway.Configure(tt.environ)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (comparison{}).base(c); err != nil || got.String() != tt.want {
			t.Errorf("%q: %v, %v, want %s", tt.environ, got, err, tt.want)
		}
	}
}
