package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"osgate/ratelimit"
	"osgate/record"
)

// limited counts the calls to the quota.
type limited struct{ asked int }

func (l *limited) TakeWithin(context.Context, string, ratelimit.Quota, time.Duration) (ratelimit.Result, time.Duration, error) {
	l.asked++
	return ratelimit.Result{Allowed: l.asked <= 1000, RetryAfter: time.Second}, 0, nil
}

func TestEarlyRefusalSkipsLaterStages(t *testing.T) {
	for _, tt := range []struct {
		name, head string
		lines      []string
		code       string
		status     int
		asked      int // identifications
		charged    int // quota taken
		sent       int // requests that went upstream
	}{
		{name: "loop", head: "GET " + keyPath, lines: []string{"Via: 1.0 squid, 1.1 OSgate (x)"}, code: "loop", status: 508},
		{name: "trace", head: "TRACE " + keyPath, code: "bad-request", status: 400},
		{name: "bad path", head: "DELETE " + storePath + "/partitions/p/keys/..", code: "bad-path", status: 400},
		{name: "not an operation", head: "GET /api/v1/data", code: "not-object-store", status: 404},
		{name: "not a call", head: "GET /accounts/api/cs/users", code: "not-object-store", status: 404},
		{name: "an empty segment within", head: "GET " + storePath + "//partitions", code: "bad-path", status: 400},
		{name: "an empty segment in a prefix", head: "GET /us//us-east-1" + keyPath, code: "bad-path", status: 400},
		{name: "an empty segment in front of nothing known", head: "GET //data", code: "bad-path", status: 400},
		{name: "an empty segment behind nothing known", head: "GET /data/", code: "bad-path", status: 400},
		{name: "an empty segment within a call", head: "GET /accounts//api/me", code: "bad-path", status: 400},
		{name: "an empty segment behind a call", head: "GET /accounts/api/me/", code: "bad-path", status: 400},
		{name: "no segment", head: "POST /", code: "not-object-store", status: 404},
		{name: "malformed query", head: "GET " + keyPath + "?a=%zz", code: "bad-request", status: 400},
		{name: "contradiction", head: "GET /eu/eu-west-1" + keyPath, code: "region-unknown", status: 400},
		{name: "not allowed", head: "GET /accounts/api/me", lines: []string{"X-Osgate-Region: gov"}, code: "region-not-allowed", status: 403},
		{name: "back door", head: "GET /_osemu/requests", code: "not-object-store", status: 404},
		{name: "foreign absolute form", head: "GET http://example.com" + keyPath, code: "bad-request", status: 400},
		{name: "no token", head: "GET " + keyPath, code: "no-token", status: 401},
		{name: "another scheme", head: "GET " + keyPath, lines: []string{"Authorization: Basic b25l"}, code: "no-token", status: 401},
		{name: "two tokens", head: "GET " + keyPath, lines: []string{"Authorization: Bearer one", "Authorization: Bearer two"}, code: "bad-request", status: 400},
		{name: "bad token", head: "GET " + keyPath, lines: []string{"Authorization: Bearer bad"}, code: "bad-token", status: 401, asked: 1},
		{name: "nobody knows", head: "GET " + keyPath, lines: []string{"Authorization: Bearer down"}, code: "identity-unavailable", status: 503, asked: 1},
		{name: "a stranger's statistics", head: "GET /api/v1/organizations/o?period=1day", lines: []string{"Authorization: Bearer other"}, code: "denied", status: 403, asked: 1},
		{name: "statistics for a token that nobody vouches for", head: "GET /api/v1/organizations/o?period=1day", lines: []string{"Authorization: Bearer stale"}, code: "identity-unavailable", status: 503, asked: 1},
		{name: "statistics are free", head: "GET /api/v1/organizations/o?period=1day", lines: []string{"Authorization: Bearer one"}, status: 200, asked: 1},
		{name: "accounts are free and ask nobody", head: "GET /accounts/api/me", lines: []string{"Authorization: Bearer bad"}, status: 200, sent: 1},
		{name: "an operation", head: "GET " + keyPath, lines: []string{"authorization: bEARER one"}, status: 200, asked: 1, charged: 1, sent: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limiter := &limited{}
			g := newRig(t, func(o *Options) { o.Limiter = limiter })
			r := request(t, tt.head, tt.lines...)
			if strings.HasPrefix(tt.head, "GET /accounts") {
				r.Host = "gateway"
			}
			w := g.do(r)
			if w.Code != tt.status || codeOf(t, w) != tt.code {
				t.Errorf("got %d %q, want %d %q: %s", w.Code, codeOf(t, w), tt.status, tt.code, w.Body)
			}
			if len(g.asked) != tt.asked || limiter.asked != tt.charged || len(g.sent) != tt.sent {
				t.Errorf("asked %d, charged %d, sent %d; want %d, %d, %d", len(g.asked), limiter.asked, len(g.sent), tt.asked, tt.charged, tt.sent)
			}
			if len(g.exchanges) != 1 || g.last().Status != tt.status || g.last().Code != record.Code(tt.code) {
				t.Errorf("%d records, the last %+v", len(g.exchanges), g.last())
			}
		})
	}
}

// TestEmptySegmentsInFrontDoNotGoUpstream checks targets with empty segments. A base
// URL that ends in "/" produces them, and so does the vendor's own command for a token.
func TestEmptySegmentsInFrontDoNotGoUpstream(t *testing.T) {
	for target, want := range map[string]string{
		"//accounts/api/me": "/accounts/api/me", "/us//accounts/api/me": "/accounts/api/me",
		"/" + keyPath: keyPath, "/us/us-east-1/" + keyPath: keyPath, "//us/us-east-1//api/v1//" + keyPath: keyPath,
	} {
		g := newRig(t)
		r := request(t, "GET "+target, "Authorization: Bearer one")
		if strings.Contains(target, "accounts") {
			r.Host = "gateway"
		}
		w := g.do(r)
		if w.Code != http.StatusOK || len(g.sent) != 1 || g.sent[0].URL.RequestURI() != want {
			t.Errorf("%s: %d %s; upstream got %v, want %s", target, w.Code, w.Body, g.sent, want)
		}
	}
}

func TestOverQuotaHasBothFormsOfHeaders(t *testing.T) {
	g := newRig(t, quota(10, 2))
	for i, want := range []struct {
		status            int
		remaining, policy string
	}{{200, "1", `"client";r=1;t=1`}, {200, "0", `"client";r=0;t=1`}, {429, "0", `"client";r=0;t=1`}} {
		w := g.get("one", keyPath)
		h := w.Header()
		if w.Code != want.status || h.Get("X-RateLimit-Remaining") != want.remaining || h.Get("RateLimit") != want.policy ||
			h.Get("RateLimit-Policy") != `"client";q=10;w=1` || h.Get("X-RateLimit-Limit") != "10" || h.Get("X-RateLimit-Reset") == "" {
			t.Errorf("request %d: %d %v", i, w.Code, h)
		}
		if retry := h.Get("Retry-After"); (retry == "1") != (want.status == 429) {
			t.Errorf("request %d: Retry-After %q", i, retry)
		}
	}
	if g.get("two", keyPath).Code != 200 || g.get("again", keyPath).Code != 429 || g.get("login", keyPath).Code != 200 {
		t.Error("a quota is not a client's own")
	}
	if len(g.sent) != 3 { // the first of one, of two and of login; the second of one was a hit
		t.Errorf("%d requests went upstream", len(g.sent))
	}
	if x := g.exchanges[2]; x.Code != "over-quota" || !x.Charged || x.UpstreamAttempts != 0 {
		t.Errorf("record %+v", x)
	}
}

// closedLimiter is a quota that cannot be counted, with a configuration that refuses
// requests in that case.
type closedLimiter struct{}

func (closedLimiter) TakeWithin(context.Context, string, ratelimit.Quota, time.Duration) (ratelimit.Result, time.Duration, error) {
	return ratelimit.Result{}, 0, ratelimit.ErrUnavailable
}

func TestAQuotaThatCannotBeCountedIsNotTheClientsFault(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Limiter = closedLimiter{} })
	if w := g.get("one", keyPath); w.Code != http.StatusServiceUnavailable || codeOf(t, w) != "overloaded" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestNoQuotaChargesNobody(t *testing.T) {
	g := newRig(t, quota(0, 1))
	if w := g.get("one", keyPath); w.Code != 200 || w.Header().Get("RateLimit") != "" || g.last().Charged {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestMoreThanThereIsRoomForIsShed(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxExchanges = 1 })
	g.upstream = func(*http.Request) (*http.Response, error) {
		if w := g.get("two", keyPath); w.Code != 503 || codeOf(t, w) != "overloaded" || w.Header().Get("Retry-After") != "1" {
			t.Errorf("second: %d %s", w.Code, w.Body)
		}
		return reply(200, ""), nil
	}
	if w := g.get("one", keyPath); w.Code != 200 {
		t.Errorf("first: %d", w.Code)
	}
	if g.get("one", storePath).Code != 200 || g.Exchanges() != 0 {
		t.Errorf("%d exchanges are under way for ever", g.Exchanges())
	}
}

func TestDrainingRefusesNewExchanges(t *testing.T) {
	g := newRig(t)
	g.Drain()
	if w := g.get("one", keyPath); w.Code != 503 || codeOf(t, w) != "draining" || w.Header().Get("Connection") != "close" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
}

func TestNewNamesNoHalfProxy(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a proxy of nothing was made")
	}
	if refusalOf(errors.New("x")).code != record.CodeOverloaded {
		t.Error("an unknown error is not ours to show")
	}
}
