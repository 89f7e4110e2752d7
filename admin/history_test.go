package admin_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/admin"
)

func TestHistoryQueryIsReadFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // 2000-01-01T00:00:00Z
		now := time.Now().UTC()
		all := admin.Scope{Plane: "us", Organization: "org-root", Environment: "env prod", Region: "us-east-1", Store: "a+b"}
		for query, want := range map[string]admin.HistoryQuery{
			"":                 {Period: "1hour", From: now.AddDate(0, 0, -1), To: now},
			"?period=1day":     {Period: "1day", From: now.AddDate(0, 0, -31), To: now},
			"?period=1month":   {Period: "1month", From: now.AddDate(-1, 0, 0), To: now},
			"?period=fornight": {Period: "fornight", From: now.AddDate(0, 0, -1), To: now},
			"?plane=us&organization=org-root&environment=env%20prod&region=us-east-1&store=a%2Bb&from=1999-12-01T01:00:00%2B01:00&to=1999-12-02T00:00:00Z": {
				Scope: all, Period: "1hour", From: time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC), To: time.Date(1999, 12, 2, 0, 0, 0, 0, time.UTC),
			},
			"?to=1999-12-02T00:00:00Z": {Period: "1hour", From: time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC), To: time.Date(1999, 12, 2, 0, 0, 0, 0, time.UTC)},
		} {
			o := options()
			var got admin.HistoryQuery
			o.History = func(_ context.Context, q admin.HistoryQuery) (admin.History, error) {
				got = q
				return admin.History{}, nil
			}
			if answer := send(t, newHandler(t, o), http.MethodGet, "/api/history"+query, ""); answer.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", query, answer.StatusCode)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	})
}

func TestHistoryIsReturnedAsJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	full := admin.History{
		Buckets:   []admin.Bucket{{Time: at, Sums: admin.Sums{Client: 1, Upstream: 2, ClientUnits: 3, UpstreamUnits: 4}}},
		Children:  []admin.Child{{Plane: "us", Name: "org", Sums: admin.Sums{Client: 5, Upstream: 6, ClientUnits: 7, UpstreamUnits: 8}}},
		Truncated: true,
	}
	const request = `{"period":"1hour","scope":{"plane":"us","organization":"","environment":"","region":"","store":""},"from":"2026-01-02T03:00:00Z","to":"2026-01-02T03:30:00Z",`
	for name, tt := range map[string]struct {
		history admin.History
		want    string
	}{
		"nothing": {admin.History{}, `"buckets":[],"children":[],"truncated":false}`},
		"all": {full, `"buckets":[{"time":"2026-01-02T03:00:00Z","client":1,"upstream":2,"clientUnits":3,"upstreamUnits":4}],` +
			`"children":[{"plane":"us","name":"org","client":5,"upstream":6,"clientUnits":7,"upstreamUnits":8}],"truncated":true}`},
	} {
		o := options()
		o.History = func(context.Context, admin.HistoryQuery) (admin.History, error) { return tt.history, nil }
		answer := send(t, newHandler(t, o), http.MethodGet, "/api/history?plane=us&from=2026-01-02T03:00:00Z&to=2026-01-02T03:30:00Z", "")
		if got := text(t, answer); got != request+tt.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestInvalidHistoryQueryNamesTheField(t *testing.T) {
	for query, field := range map[string]string{
		"?from=yesterday": "from", "?to=2026-01-02": "to", "?from=2026-01-02T00:00:00Z&from=2026-01-02T00:00:00Z": "from",
		"?to=9999-12-31T23:59:59-12:00": "to", "?to=9999-01-01T00:00:00Z": "to", "?to=9998-12-31T23:00:00-02:00": "to", "?from=0000-01-01T00:00:00%2B12:00": "from", "?from=1969-12-31T23:59:59Z": "from",
		"?organizations=x": "organizations", "?plane=%zz": "query", "?period=other": "period",
	} {
		o := options()
		o.History = func(context.Context, admin.HistoryQuery) (admin.History, error) {
			return admin.History{}, &admin.InputError{Field: "period", Detail: "must be another"}
		}
		if p := readProblem(t, send(t, newHandler(t, o), http.MethodGet, "/api/history"+query, ""), http.StatusBadRequest); p.Field != field {
			t.Errorf("%s: %+v, want the field %s", query, p, field)
		}
	}
}

func TestHistoryWithoutStatisticsIsUnavailable(t *testing.T) {
	var logged strings.Builder
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	o.History = func(context.Context, admin.HistoryQuery) (admin.History, error) {
		return admin.History{}, errors.New("redis is down: dial 10.0.0.1")
	}
	answer := send(t, newHandler(t, o), http.MethodGet, "/api/history", "")
	p := readProblem(t, answer, http.StatusServiceUnavailable)
	if p.Type != "urn:osgate:admin:statistics-unavailable" || answer.Header.Get("Retry-After") == "" || strings.Contains(p.Detail, "10.0.0.1") {
		t.Errorf("%+v, Retry-After %q", p, answer.Header.Get("Retry-After"))
	}
	if !strings.Contains(logged.String(), "10.0.0.1") {
		t.Errorf("the log does not contain the reason: %s", logged.String())
	}
}

func TestHistoryForAClientThatLeftIsNotLogged(t *testing.T) {
	for name, tt := range map[string]struct {
		left   bool
		err    error
		status int
		logged bool
	}{
		"the viewer left":                    {true, context.Canceled, http.StatusOK, false},
		"the viewer left as the store broke": {true, errors.New("redis is down"), http.StatusOK, false},
		"the viewer waits":                   {false, context.Canceled, http.StatusServiceUnavailable, true},
	} {
		var logged strings.Builder
		o := options()
		o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		ctx, leave := context.WithCancel(t.Context())
		o.History = func(context.Context, admin.HistoryQuery) (admin.History, error) {
			if tt.left {
				leave()
			}
			return admin.History{}, tt.err
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/history", nil)
		r.Host = "localhost:8081"
		w := httptest.NewRecorder()
		newHandler(t, o).ServeHTTP(w, r)
		if w.Code != tt.status || (w.Body.Len() > 0) != tt.logged || (logged.Len() > 0) != tt.logged {
			t.Errorf("%s: %d %s, logged %q; want %d, and a log line: %v", name, w.Code, w.Body, logged.String(), tt.status, tt.logged)
		}
		leave()
	}
}

// The page shows every year that a query may contain, so the answers for the first and
// the last year must be JSON.
func TestHistoryOfTheFirstAndLastYearIsReturned(t *testing.T) {
	for _, to := range []string{"1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z"} {
		for _, period := range []string{"1hour", "1day", "1month"} {
			if answer := send(t, newHandler(t, options()), http.MethodGet, "/api/history?period="+period+"&to="+to, ""); answer.StatusCode != http.StatusOK {
				t.Errorf("to %s by %s: %d %s", to, period, answer.StatusCode, text(t, answer))
			}
		}
	}
}

func TestRecentLooksBackAsFarAsRequested(t *testing.T) {
	var back time.Duration
	o := options()
	o.Recent = func(_ time.Time, b time.Duration) any { back = b; return "recent" }
	h := newHandler(t, o)
	for query, want := range map[string]time.Duration{"": 15 * time.Minute, "?seconds=5": 5 * time.Second, "?seconds=900": 15 * time.Minute, "?seconds=61": 61 * time.Second} {
		if answer := send(t, h, http.MethodGet, "/api/recent"+query, ""); answer.StatusCode != http.StatusOK || text(t, answer) != `"recent"` || back != want {
			t.Errorf("%s: %d, looked back %v, want %v", query, answer.StatusCode, back, want)
		}
	}
	for _, query := range []string{"?seconds=4", "?seconds=901", "?seconds=-5", "?seconds=1e2", "?seconds=99999999999999999999"} {
		if p := readProblem(t, send(t, h, http.MethodGet, "/api/recent"+query, ""), http.StatusBadRequest); p.Field != "seconds" {
			t.Errorf("%s: %+v, want the field seconds", query, p)
		}
	}
}
