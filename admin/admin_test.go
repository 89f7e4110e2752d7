package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"osgate/admin"
)

const token = "the-operator's-token"

// options returns the options of a healthy listener on loopback without a token.
func options() admin.Options {
	return admin.Options{
		Loopback:  true,
		Version:   "v1.2.3",
		Start:     time.Now(),
		Readiness: func() admin.Readiness { return admin.Readiness{Status: admin.Ready} },
		Overview: func(time.Time) (admin.Health, any, map[string]string) {
			return admin.NewHealth(admin.Readiness{Status: admin.Ready}, nil), map[string]int{"exchanges": 42}, map[string]string{"org-root": "Acme"}
		},
		Recent:  func(time.Time, time.Duration) any { return map[string]int{"step": 5} },
		Details: known{}, Operations: &switched{},
		Fleet:    func(context.Context) any { return map[string]string{"self": "id"} },
		History:  func(context.Context, admin.HistoryQuery) (admin.History, error) { return admin.History{}, nil },
		Settings: func() any { return []map[string]string{{"name": "OSGATE_ADMIN_TOKEN", "value": "[redacted]"}} },
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "osgate_exchanges_total 42\n") }),
		Purge:    func(context.Context, admin.PurgeRequest) (int, error) { return 7, nil },
	}
}

// public returns the options of a listener that the network can reach.
func public() admin.Options {
	o := options()
	o.Loopback, o.Token = false, token
	return o
}

func newHandler(t *testing.T, o admin.Options) http.Handler {
	t.Helper()
	h, err := admin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// send sends a request to localhost and returns the answer. Each header is "Name:
// value".
func send(t *testing.T, h http.Handler, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost:8081"
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, answer *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

type problem struct {
	Type, Title, Detail, Field string
	Status                     int
	Purged                     *int
}

// readProblem decodes an answer. It reports an error if the answer is not a problem
// (RFC 9457) with the given status.
func readProblem(t *testing.T, answer *http.Response, status int) problem {
	t.Helper()
	var p problem
	body := text(t, answer)
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("answer %d is not JSON: %v: %s", answer.StatusCode, err, body)
	}
	if got := answer.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q, want application/problem+json", got)
	}
	if answer.StatusCode != status || p.Status != status || p.Title != http.StatusText(status) || p.Detail == "" {
		t.Errorf("status %d, problem %+v; want %d", answer.StatusCode, p, status)
	}
	return p
}

func TestListenerOpenToTheNetworkNeedsAToken(t *testing.T) {
	o := public()
	o.Token = ""
	if _, err := admin.New(o); err == nil {
		t.Error("New accepts a listener that is not on loopback and has no token")
	}
}

func TestMissingPartIsRefused(t *testing.T) {
	for name, remove := range map[string]func(o *admin.Options){
		"readiness": func(o *admin.Options) { o.Readiness = nil },
		"overview":  func(o *admin.Options) { o.Overview = nil },
		"recent":    func(o *admin.Options) { o.Recent = nil },
		"details":   func(o *admin.Options) { o.Details = nil },
		"operate":   func(o *admin.Options) { o.Operations = nil },
		"fleet":     func(o *admin.Options) { o.Fleet = nil },
		"history":   func(o *admin.Options) { o.History = nil },
		"settings":  func(o *admin.Options) { o.Settings = nil },
		"metrics":   func(o *admin.Options) { o.Metrics = nil },
		"purge":     func(o *admin.Options) { o.Purge = nil },
	} {
		o := options()
		remove(&o)
		if _, err := admin.New(o); err == nil {
			t.Errorf("New accepts options without %s", name)
		}
	}
}

func TestReadinessDecidesTheStatus(t *testing.T) {
	reasons := []admin.Reason{{Part: "redis", Detail: "does not answer"}}
	for _, tt := range []struct {
		state  admin.Readiness
		status int
		body   string
	}{
		{admin.Readiness{Status: admin.Ready}, 200, `{"status":"ready","reasons":[]}`},
		{admin.Readiness{Status: admin.Degraded, Reasons: reasons}, 200, `{"status":"degraded","reasons":[{"part":"redis","detail":"does not answer"}]}`},
		{admin.Readiness{Status: admin.Starting}, 503, `{"status":"starting","reasons":[]}`},
		{admin.Readiness{Status: admin.Draining}, 503, `{"status":"draining","reasons":[]}`},
		{admin.Readiness{Status: admin.Unready}, 503, `{"status":"unready","reasons":[]}`},
		{admin.Readiness{}, 503, `{"status":"","reasons":[]}`},
	} {
		o := public()
		o.Readiness = func() admin.Readiness { return tt.state }
		answer := send(t, newHandler(t, o), http.MethodGet, "/readyz", "")
		if got := text(t, answer); answer.StatusCode != tt.status || got != tt.body {
			t.Errorf("%q: %d %s, want %d %s", tt.state.Status, answer.StatusCode, got, tt.status, tt.body)
		}
	}
}

func TestLivezIsOKInEveryState(t *testing.T) {
	o := public()
	o.Readiness = func() admin.Readiness { return admin.Readiness{Status: admin.Draining} }
	answer := send(t, newHandler(t, o), http.MethodGet, "/livez", "")
	if got := text(t, answer); answer.StatusCode != http.StatusOK || got != "ok\n" {
		t.Errorf("/livez answers %d %q, want 200 ok", answer.StatusCode, got)
	}
}

func TestOverviewContainsAllThatThePageShows(t *testing.T) {
	var got struct {
		Time, Start time.Time
		Version     string
		Session     bool
		Health      admin.Health
		Replica     admin.Replica
		Names       map[string]string
		Traffic     map[string]int
	}
	o := options()
	o.Replica = admin.Replica{ID: "id", Host: "pod"}
	answer := send(t, newHandler(t, o), http.MethodGet, "/api/overview", "")
	if err := json.Unmarshal([]byte(text(t, answer)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != "v1.2.3" || got.Health.Status != admin.Ready || got.Traffic["exchanges"] != 42 || got.Session || !got.Start.Equal(o.Start) || got.Time.IsZero() ||
		got.Replica != o.Replica || got.Names["org-root"] != "Acme" {
		t.Errorf("overview %+v", got)
	}
}

func TestAnswersHaveSecurityHeaders(t *testing.T) {
	h := newHandler(t, public())
	for _, path := range []string{"/", "/livez", "/readyz", "/metrics", "/config", "/api/overview", "/api/recent", "/api/history", "/api/fleet", "/api/policy", "/assets/style.css", "/nothing"} {
		for _, auth := range []string{"Authorization: Bearer " + token, "Accept: */*"} {
			header := send(t, h, http.MethodGet, path, "", auth).Header
			for name, want := range map[string]string{
				"Content-Security-Policy":      "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
				"X-Content-Type-Options":       "nosniff",
				"X-Frame-Options":              "DENY",
				"Cache-Control":                "no-store",
				"Referrer-Policy":              "same-origin",
				"Cross-Origin-Opener-Policy":   "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := header.Get(name); got != want {
					t.Errorf("%s: %s is %q, want %q", path, name, got, want)
				}
			}
		}
	}
}

func TestMethodsAndPathsAreClosed(t *testing.T) {
	h := newHandler(t, options())
	for _, tt := range []struct {
		method, path, allow string
		status              int
	}{
		{http.MethodPost, "/livez", "GET, HEAD", 405},
		{http.MethodDelete, "/", "GET, HEAD", 405},
		{http.MethodPut, "/config", "GET, HEAD", 405},
		{http.MethodPost, "/metrics", "GET, HEAD", 405},
		{http.MethodGet, "/cache/purge", "POST", 405},
		{http.MethodPost, "/assets/app.js", "GET, HEAD", 405},
		{http.MethodPost, "/api/live", "GET, HEAD", 405},
		{http.MethodDelete, "/api/history", "GET, HEAD", 405},
		{http.MethodPost, "/api/fleet", "GET, HEAD", 405},
		{http.MethodGet, "/nothing", "", 404},
		{http.MethodGet, "/assets/", "", 404},
		{http.MethodGet, "/assets/../admin.go", "", 307}, // ServeMux cleans the path; the clean path does not exist either
		{http.MethodPost, "/login", "", 404},             // no token is set, so there is no login
	} {
		answer := send(t, h, tt.method, tt.path, "")
		if answer.StatusCode != tt.status || answer.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q", tt.method, tt.path, answer.StatusCode, answer.Header.Get("Allow"), tt.status, tt.allow)
		}
		if tt.status >= 400 {
			readProblem(t, answer, tt.status)
		}
	}
	if answer := send(t, h, http.MethodHead, "/livez", ""); answer.StatusCode != http.StatusOK {
		t.Errorf("HEAD /livez: %d, want 200", answer.StatusCode)
	}
}

func TestTokenIsNowhereInAnswersAndLogs(t *testing.T) {
	var logged strings.Builder
	o := public()
	o.Logger = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := newHandler(t, o)
	for _, path := range []string{"/", "/config", "/metrics", "/api/overview", "/api/recent", "/api/history", "/api/fleet", "/readyz", "/nothing"} {
		for _, auth := range []string{"Bearer " + token, "Bearer x" + token} {
			answer := send(t, h, http.MethodGet, path, "", "Authorization: "+auth)
			if body := text(t, answer) + fmt.Sprint(answer.Header); strings.Contains(body, token) {
				t.Errorf("%s contains the token: %s", path, body)
			}
		}
	}
	o.Logger.Info("options", "options", o, "token", o.Token)
	if !strings.Contains(logged.String(), "admin token refused") || strings.Contains(logged.String(), token) {
		t.Errorf("the log has no line about a refused token, or contains the token: %s", logged.String())
	}
}

func TestTokenDoesNotPrint(t *testing.T) {
	secret := admin.Token(token)
	asJSON, err := json.Marshal(map[string]any{"token": secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		fmt.Sprint(secret), fmt.Sprintf("%+v", public()), fmt.Sprintf("%#v", secret), fmt.Sprintf("%q", secret), secret.LogValue().String(), string(asJSON),
	} {
		if strings.Contains(printed, token) {
			t.Errorf("the token prints as %s", printed)
		}
	}
}

func TestDataThatIsNotJSONIsAnInternalError(t *testing.T) {
	var logged strings.Builder
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	o.Settings = func() any { return func() {} }
	readProblem(t, send(t, newHandler(t, o), http.MethodGet, "/config", ""), http.StatusInternalServerError)
	if !strings.Contains(logged.String(), "unsupported type") {
		t.Errorf("the log does not contain the reason: %s", logged.String())
	}
}

var errReplica = errors.New("dial tcp 10.0.0.7:6379: connection refused")
