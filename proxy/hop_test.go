package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/cache"
	"osgate/record"
)

// TestConnectionStripsNothingThatWasJudged names in Connection each header that goes
// upstream. A plain proxy removes such headers as hop-by-hop.
func TestConnectionStripsNothingThatWasJudged(t *testing.T) {
	values := map[string]string{"If-Match": `"v1"`, "If-None-Match": `"v2"`}
	names := slices.Concat(toUpstream, []string{"Authorization", "X-Anypnt-Org-Id", "Via"})
	for _, name := range names {
		g := newRig(t)
		line := name + ": x"
		switch {
		case values[name] != "":
			line = name + ": " + values[name]
		case name == "Authorization":
			line = "X-Other: x"
		}
		w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", line, "Connection: close, "+strings.ToLower(name)+", Connection", "", "{}"))
		if w.Code != http.StatusOK || len(g.sent) != 1 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		want := map[string]string{"Authorization": "Bearer one", "Via": "x", "If-Match": `"v1"`, "If-None-Match": `"v2"`}[name]
		if got := g.sent[0].Header[name]; len(got) == 0 || want == "" && got[0] != "x" || want != "" && got[0] != want {
			t.Errorf("Connection: %s: upstream got %q, want what the client sent", name, got)
		}
		if got, ok := g.sent[0].Header["Connection"]; ok {
			t.Errorf("Connection: %s: upstream got Connection %q", name, got)
		}
	}
}

// TestConnectionOfAnAnswerHidesNothingFromCacheOrClient names in Connection the headers
// that state whether an answer may be stored, and those that the client needs.
func TestConnectionOfAnAnswerHidesNothingFromCacheOrClient(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		stored      bool
	}{
		{"Cache-Control", "no-store", false}, {"Vary", "Cookie", false}, {"Etag", `"v1"`, true}, {"Content-Type", "application/json", true},
		{"Content-Encoding", "gzip", false}, {"Expires", "0", false}, {"Retry-After", "3", true}, {"Last-Modified", "Tue, 01 Jan 2019 00:00:00 GMT", true},
	} {
		g := newRig(t)
		g.upstream = func(*http.Request) (*http.Response, error) {
			answer := reply(http.StatusOK, "{}", "Connection", "x-hop, "+strings.ToLower(tt.name), "X-Hop", "1")
			answer.Header.Set(tt.name, tt.value)
			return answer, nil
		}
		h := g.get("one", keyPath).Header()
		if h.Get(tt.name) != tt.value || h.Get("X-Hop") != "" || h.Get("Connection") != "" {
			t.Errorf("%s: the client got %v, want it and no X-Hop", tt.name, h)
		}
		if stored := strings.Contains(h.Get("Cache-Status"), "stored"); stored != tt.stored {
			t.Errorf("%s: Cache-Status %q, want stored %t", tt.name, h.Get("Cache-Status"), tt.stored)
		}
	}
	g := newRig(t)
	g.upstream = func(*http.Request) (*http.Response, error) {
		return reply(http.StatusOK, `{}`, "Set-Cookie", "s=1", "Connection", "Set-Cookie"), nil
	}
	login := request(t, "POST /us/accounts/login", "Content-Type: application/json", "", `{}`)
	if w := g.do(login); w.Header().Get("Set-Cookie") != "s=1" {
		t.Errorf("a login without its cookie: %v", w.Header())
	}
}

// requestHeaders are the headers that clients and proxies send (IANA's registry of
// field names, and others in common use).
var requestHeaders = []string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Access-Control-Request-Method", "Authorization", "Baggage", "Cache-Control",
	"Content-Encoding", "Content-Language", "Content-Location", "Content-Type", "Cookie", "Date", "Dnt", "Early-Data", "Forwarded", "From", "Idempotency-Key",
	"If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Link", "Origin", "Pragma", "Prefer", "Priority", "Range",
	"Referer", "Sec-Fetch-Mode", "Te", "Traceparent", "Tracestate", "User-Agent", "Via", "X-Anypnt-Anything", "X-Anypnt-Env-Id", "X-Correlation-Id",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Http-Method-Override", "X-Original-Url", "X-Request-Id", "X-Requested-With",
}

// TestForwardedHeaderChoosesTheEntry checks the scope of an environment: a header of
// the client that goes upstream is part of the entry's name, or is one of the few that
// cannot change the stored answer. A header that is added to only one of the two lists
// fails this test.
func TestForwardedHeaderChoosesTheEntry(t *testing.T) {
	excused := []string{"Authorization", "If-None-Match", record.Traceparent, record.Tracestate}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(requestHeaders, toUpstream)))) {
		if slices.Contains(excused, name) {
			continue
		}
		g := newRig(t, func(o *Options) { o.SharedScope = true })
		g.get("one", keyPath, name+": aaa")
		g.get("two", keyPath, "Cache-Control: no-store") // to get its grant
		sent := strings.Contains(fmt.Sprint(g.sent[0].Header), "aaa")
		served := strings.Contains(g.get("two", keyPath, name+": bbb").Header().Get("Cache-Status"), "hit")
		if sent && served {
			t.Errorf("%s goes upstream, and an answer to one value of it is served to another", name)
		}
	}
	for _, name := range notChoosing {
		if !slices.Contains(excused, name) && name != "If-Match" {
			t.Errorf("%s goes upstream and is part of no entry's name: say here why that is harmless", name)
		}
	}
	for _, name := range append([]string{cache.ChoosingPrefix + "X"}, cache.ChoosingHeaders...) {
		g := newRig(t)
		if g.get("one", keyPath, name+": aaa"); !slices.Equal(g.sent[0].Header[name], []string{"aaa"}) {
			t.Errorf("%s is part of an entry's name and does not go upstream", name)
		}
	}
}

// TestReadsForAllAreSentAlike checks that such reads are the same for every client,
// path through proxies and host name of the gateway, because upstream could base its
// answer on them. Other requests state the path that they took.
func TestReadsForAllAreSentAlike(t *testing.T) {
	asked := func(scope bool, head string, change func(*http.Request), lines ...string) http.Header {
		g := newRig(t, func(o *Options) { o.SharedScope = scope })
		r := request(t, head, append([]string{"Authorization: Bearer one"}, lines...)...)
		change(r)
		if w := g.do(r); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", head, w.Code, w.Body)
		}
		return g.sent[0].Header
	}
	plain := func(*http.Request) {}
	odd := func(r *http.Request) {
		r.Host, r.RemoteAddr, r.ProtoMajor, r.ProtoMinor = "evil.example", "[2001:db8::1]:9", 2, 0
	}
	if diff := cmp.Diff(asked(true, "GET "+keyPath, plain), asked(true, "GET "+keyPath, odd, "Via: 1.1 elsewhere")); diff != "" {
		t.Errorf("two reads for all (-one +other):\n%s", diff)
	}
	for name, h := range map[string]http.Header{
		"a client's own scope": asked(false, "GET "+keyPath, odd, "Via: 1.1 elsewhere"), "a write": asked(true, "PUT "+keyPath, odd, "Via: 1.1 elsewhere"),
		"past the cache": asked(true, "GET "+keyPath, odd, "Via: 1.1 elsewhere", "Cache-Control: no-store"),
	} {
		if !strings.Contains(h.Get("Forwarded"), "evil.example") || !slices.Equal(h["Via"], []string{"1.1 elsewhere", "2 osgate"}) {
			t.Errorf("%s: Forwarded %q, Via %q; want who asked, by which way", name, h["Forwarded"], h["Via"])
		}
	}
}
