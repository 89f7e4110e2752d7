package proxy

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/ratelimit"
)

func TestUpstreamGetsTheBytesReceived(t *testing.T) {
	for _, target := range []string{
		keyPath, storePath + "/partitions/p/keys/a%2Fb%2f%41%7E;x%3B[y]!$&'()*,=:@", storePath + "/partitions/p/keys/ключ{}\"<>^`", "/api/v1/organizations/o/regions?",
		storePath + "/partitions/p/keys?beginsWith=a%20b&&pageSize=3;x=%41&", "/api/v1" + keyPath, "/us/us-east-1" + keyPath + "?confirmable=TRUE",
	} {
		g := newRig(t)
		if w := g.get("one", target); w.Code != 200 {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
			continue
		}
		want := strings.TrimPrefix(strings.Replace(target, "/api/v1/api/v1", "/api/v1", 1), "/us/us-east-1")
		out := g.sent[0]
		if got := out.URL.RequestURI(); got != want || out.Host != host || out.URL.Scheme != "https" || out.URL.Host != host {
			t.Errorf("got %s at %s (%s://%s), want %s", got, out.Host, out.URL.Scheme, out.URL.Host, want)
		}
	}
}

func TestAnOverrideKeepsTheHostHeader(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Override = &url.URL{Scheme: "http", Host: "127.0.0.1:8090"} })
	g.get("one", keyPath)
	r := request(t, "GET /eu/accounts/api/me")
	r.Host = "gateway"
	g.do(r)
	for i, want := range []string{host, "eu1.anypoint.mulesoft.com"} {
		if out := g.sent[i]; out.URL.Scheme != "http" || out.URL.Host != "127.0.0.1:8090" || out.Host != want {
			t.Errorf("sent to %s://%s with Host %s, want %s", out.URL.Scheme, out.URL.Host, out.Host, want)
		}
	}
}

func TestOnlyKnownHeadersGoUpstream(t *testing.T) {
	g := newRig(t)
	lines := []string{
		"Authorization: bearer  one", "Connection: Authorization, X-Hop, keep-alive", "X-Hop: 1", "Keep-Alive: 5", "Accept: a/b", "Accept: c/d", "Content-Type: application/json",
		"If-Match: \"v1\"", "If-None-Match: \"v2\"", "User-Agent: mule", "X-ANYPNT-ORG-ID: o", "X-Anypnt-Env-Id: e", "traceparent: 00-a-b-01", "tracestate: x=1", "Via: 1.1 elsewhere",
		"Accept-Encoding: gzip", "Cookie: a=b", "X-Forwarded-For: 10.0.0.1", "X_Forwarded_For: 10.0.0.2", "Forwarded: for=10.0.0.3", "X-Real-IP: 10.0.0.4", "X-Original-URL: /x",
		"Idempotency-Key: 1", "X-Request-Id: mine-1", "X-Osgate-Region: us/us-east-1", "Range: bytes=0-1", "Proxy-Authorization: Basic x", "TE: trailers", "Trailer: X-T", "Expect: x", "", "{}",
	}
	if w := g.do(request(t, "PUT "+keyPath, lines...)); w.Code != 200 || w.Header().Get("X-Request-Id") != "mine-1" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	want := http.Header{
		"Authorization": {"Bearer one"}, "Accept": {"a/b", "c/d"}, "Content-Type": {"application/json"}, "If-Match": {`"v1"`}, "If-None-Match": {`"v2"`}, "User-Agent": {"mule"},
		"X-Anypnt-Org-Id": {"o"}, "X-Anypnt-Env-Id": {"e"}, "Traceparent": {"00-a-b-01"}, "Tracestate": {"x=1"}, "Via": {"1.1 elsewhere", "1.1 osgate"},
		"Forwarded": {`for="192.0.2.7";host="` + host + `";proto=http`},
	}
	if diff := cmp.Diff(want, g.sent[0].Header); diff != "" {
		t.Errorf("header upstream (-want +got):\n%s", diff)
	}
	if g.sent[0].Trailer != nil || g.sent[0].ContentLength != 2 {
		t.Errorf("trailer %v, length %d", g.sent[0].Trailer, g.sent[0].ContentLength)
	}
}

func TestAllButWhatIsOursOrOneConnectionsGoesToTheClient(t *testing.T) {
	g := newRig(t)
	g.upstream = func(*http.Request) (*http.Response, error) {
		return reply(200, "{}", "X-Confirmation-Id", "c1", "Set-Cookie", "a=b", "Connection", "X-Hop", "X-Hop", "1", "Keep-Alive", "5", "Etag", `"v1"`, "X-Request-Id", "theirs",
			"RateLimit", `"x";r=1`, "X-RateLimit-Remaining", "1", "Cache-Control", "max-age=3", "Via", "1.1 edge", "Cache-Status", "edge; hit"), nil
	}
	w := g.get("one", keyPath, "X-Request-Id: a b", "Accept-Encoding: gzip")
	h := w.Header()
	for name, want := range map[string][]string{
		"X-Confirmation-Id": {"c1"}, "Etag": {`"v1"`}, "Cache-Control": {"max-age=3"}, "Via": {"1.1 edge", "1.1 osgate"}, "Set-Cookie": nil, "Server": nil, "X-Hop": nil, "Keep-Alive": nil,
		"RateLimit": {`"client";r=999;t=1`}, "X-Ratelimit-Remaining": {"999"}, "X-Osgate-Region": {"us/us-east-1"}, "Cache-Status": {"edge; hit", "osgate; fwd=miss; stored"}, "Connection": nil,
	} {
		if diff := cmp.Diff(want, h.Values(name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if id := h.Get("X-Request-Id"); len(id) < 16 || id == "theirs" || id != g.last().ID || g.last().UpstreamRequestID != "theirs" {
		t.Errorf("request id %q, recorded %q and upstream's %q", id, g.last().ID, g.last().UpstreamRequestID)
	}
	if status := g.get("one", keyPath).Header().Values("Cache-Status"); len(status) != 1 || !strings.HasPrefix(status[0], "osgate; hit") {
		t.Errorf("Cache-Status of a hit is %q, want ours alone: no other cache had a part in it", status)
	}
}

func TestALoginKeepsItsCookie(t *testing.T) {
	g := newRig(t)
	g.upstream = func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") != "" {
			return reply(200, `{}`, "Set-Cookie", "s=1"), nil
		}
		return reply(200, `{"access_token":"minted-token","expires_in":3600}`, "Set-Cookie", "s=1"), nil
	}
	login := request(t, "POST /accounts/login", "Content-Type: application/json", "", `{"username":"u","password":"p"}`)
	login.Host = "eu1.anypoint.mulesoft.com"
	if w := g.do(login); w.Header().Get("Set-Cookie") != "s=1" || w.Header().Get("X-Osgate-Region") != "eu" || !strings.Contains(w.Body.String(), "minted-token") {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	if diff := cmp.Diff([]string{"eu Bearer minted-token"}, g.warmed); diff != "" {
		t.Errorf("warmed (-want +got):\n%s", diff)
	}
	me := request(t, "GET /accounts/api/me", "Authorization: bearer x")
	me.Host = "anypoint.mulesoft.com"
	if w := g.do(me); w.Header().Get("Set-Cookie") != "" || g.sent[1].Header.Get("Authorization") != "bearer x" || len(g.warmed) != 1 {
		t.Errorf("me: %v", w.Header())
	}
	if x := g.last(); x.Surface != "accounts" || x.Operation != "me" || x.Plane != "us" {
		t.Errorf("record %+v", x)
	}
}

func TestARefusedMintWarmsNothing(t *testing.T) {
	g := newRig(t)
	g.upstream = func(*http.Request) (*http.Response, error) { return reply(401, `{"access_token":"no"}`), nil }
	r := request(t, "POST /accounts/oauth2/token", "", "client_id=x")
	r.Host = "anypoint.mulesoft.com"
	if w := g.do(r); w.Code != 401 || len(g.warmed) != 0 || codeOf(t, w) != "" {
		t.Errorf("%d %s, warmed %v", w.Code, w.Body, g.warmed)
	}
}

func TestAccountsCanBeClosed(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Accounts = false })
	if w := g.get("one", "/accounts/api/me"); w.Code != 404 || len(g.sent) != 0 {
		t.Errorf("%d", w.Code)
	}
}

func TestConfirmableOperationsHaveAConnectionOfTheirOwn(t *testing.T) {
	g := newRig(t)
	for i := range 2 {
		if w := g.get("one", keyPath+"?confirmable=true"); w.Code != 200 || w.Header().Get("Cache-Status") != "" || g.fresh != i+1 {
			t.Errorf("%d %v, %d fresh connections", w.Code, w.Header(), g.fresh)
		}
	}
	g.get("one", keyPath)
	if g.fresh != 2 {
		t.Error("a plain read got a connection of its own")
	}
}

func TestUpstreamsAnswersPassUnchanged(t *testing.T) {
	for _, status := range []int{201, 204, 302, 400, 404, 409, 429, 500, 501, 503} {
		g := newRig(t, quota(10, 10))
		g.upstream = func(*http.Request) (*http.Response, error) {
			return reply(status, "said", "Location", "http://elsewhere/"), nil
		}
		w := g.do(request(t, "POST "+keyPath, "Authorization: Bearer one", "", "{}"))
		if w.Code != status || w.Body.String() != "said" || w.Header().Get("Proxy-Status") != "" || len(g.sent) != 1 || w.Header().Get("Location") == "" {
			t.Errorf("%d became %d %s, sent %d times", status, w.Code, w.Body, len(g.sent))
		}
		if x := g.last(); x.UpstreamStatus != status || x.Code != "" || x.UpstreamAttempts != 1 {
			t.Errorf("record %+v", x)
		}
	}
}

// timeout is the error of a transport if the header of an answer does not arrive.
type timeout struct{}

func (timeout) Error() string { return "timeout awaiting response headers" }
func (timeout) Timeout() bool { return true }

func TestUpstreams429IsWaitedOut(t *testing.T) {
	waits := func(o *Options) { o.MaxWait = time.Second; quota(1000, 10)(o) }
	for _, tt := range []struct {
		name    string
		change  func(*Options)
		refused int // number of refusals of upstream
		body    int
		headers []string
		status  int
		sent    int
	}{
		{name: "waits", change: waits, refused: 2, body: 100, status: 200, sent: 3},
		{name: "no body", change: waits, refused: 1, status: 200, sent: 2},
		{name: "too large to keep", change: waits, refused: 1, body: keptBody + 1, status: 429, sent: 1},
		{name: "too long", change: waits, refused: 1, headers: []string{"Retry-After", "2"}, status: 429, sent: 1},
		{name: "too long, by a date", change: waits, refused: 1, headers: []string{"Retry-After", "Mon, 30 Nov 2026 12:00:02 GMT", "Date", "Mon, 30 Nov 2026 12:00:00 GMT"}, status: 429, sent: 1},
		{name: "switched off", change: quota(1000, 10), refused: 1, status: 429, sent: 1},
		{name: "no quota of its own", change: func(o *Options) { waits(o); quota(0, 1)(o) }, refused: 1, status: 200, sent: 2},
		{name: "quota spent", change: func(o *Options) { waits(o); quota(10, 1)(o); o.Limiter = onlyOnce{new(int)} }, refused: 1, status: 429, sent: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, tt.change)
			body := strings.Repeat("x", tt.body)
			var got []string
			g.upstream = func(r *http.Request) (*http.Response, error) {
				if r.Body != nil {
					text, _ := io.ReadAll(r.Body)
					got = append(got, string(text))
				}
				if len(g.sent) <= tt.refused {
					return reply(429, `{"status":"failure"}`, tt.headers...), nil
				}
				return reply(200, "{}"), nil
			}
			lines := []string{"Authorization: Bearer one"}
			if tt.body > 0 {
				lines = append(lines, "", body)
			}
			w := g.do(request(t, "PUT "+keyPath, lines...))
			if w.Code != tt.status || len(g.sent) != tt.sent || g.last().UpstreamAttempts != tt.sent || tt.status == 429 && w.Body.String() != `{"status":"failure"}` {
				t.Errorf("%d %s, sent %d", w.Code, w.Body, len(g.sent))
			}
			if slices.ContainsFunc(got, func(s string) bool { return s != body }) {
				t.Error("a body was not whole")
			}
		})
	}
}

// onlyOnce allows the first unit only.
type onlyOnce struct{ n *int }

func (o onlyOnce) TakeWithin(context.Context, string, ratelimit.Quota, time.Duration) (ratelimit.Result, time.Duration, error) {
	*o.n++
	return ratelimit.Result{Allowed: *o.n == 1}, 0, nil
}
