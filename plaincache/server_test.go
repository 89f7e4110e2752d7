package plaincache_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// wantTold fails the test unless the outcome of the reply, as told returns it, is want.
func wantTold(t *testing.T, a plainReply, want, when string) {
	t.Helper()
	if got := a.told(); got != want {
		t.Errorf("%s: got %s, want %s; header %v", when, got, want, a.header)
	}
}

func TestPlainInvalidatesWhatASuccessfulUnsafeRequestChanged(t *testing.T) {
	for name, tt := range map[string]struct {
		request, answer string
		want            string // for /a?x afterwards
	}{
		"POST":                          {"POST /a?x", "200", "fetched"},
		"PUT":                           {"PUT /a?x", "201", "fetched"},
		"DELETE":                        {"DELETE /a?x", "204", "fetched"},
		"an unknown method":             {"M-SEARCH /a?x", "200", "fetched"},
		"a redirect":                    {"POST /a?x", "303 | Location: /b", "fetched"},
		"OPTIONS":                       {"OPTIONS /a?x", "200", "hit"},
		"a failure":                     {"POST /a?x", "500", "hit"},
		"a refusal":                     {"PUT /a?x", "409", "hit"},
		"another query":                 {"POST /a?y", "200", "hit"},
		"Location":                      {"POST /b", "201 | Location: /a?x", "fetched"},
		"a relative Content-Location":   {"POST /c", "200 | Content-Location: a?x", "fetched"},
		"Location of a failure":         {"POST /b", "500 | Location: /a?x", "hit"},
		"Location on another host":      {"POST /b", "201 | Location: http://other.example/a?x", "hit"},
		"Location that cannot be read":  {"POST /b", "201 | Location: http://[/a?x", "hit"},
		"Location beside another field": {"POST /b", "201 | Location: /d | Content-Location: /a?x", "fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newPlainRig(t)
			g.ask("GET /a?x", fresh)
			wrote := g.ask(tt.request, tt.answer)
			if got := wrote.header.Get("Cache-Status"); got != "osgate; fwd=method" {
				t.Errorf("Cache-Status of the write is %q", got)
			}
			wantTold(t, g.ask("GET /a?x", fresh), tt.want, "afterwards")
		})
	}
}

// TestPlainForgetsWhatWasFetchedWhileItChanged checks a fetch that began before a
// write: it may have read the old value.
func TestPlainForgetsWhatWasFetchedWhileItChanged(t *testing.T) {
	g := newPlainRig(t)
	g.mu.Lock() // the origin answers once mu is free
	g.answer = fresh
	got := make(chan error, 1)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/a", nil)
	arrived := make(chan struct{})
	g.arrived = arrived
	go func() {
		answer, err := g.client.Do(r)
		if err == nil {
			err = answer.Body.Close()
		}
		got <- err
	}()
	<-arrived
	question := webQuestion(http.MethodPost, strings.TrimPrefix(g.url, "http://"), "/a")
	write := g.plain.Cache.Look(t.Context(), question, time.Now())
	write.Fetch.Response(t.Context(), http.StatusOK, http.Header{}, 0, write.Status)
	write.Fetch.Close(true)
	g.mu.Unlock()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	wantTold(t, g.ask("GET /a", fresh), "fetched", "after a write during the fetch")
}

func TestPlainKeepsVariantsBesideEachOther(t *testing.T) {
	g := newPlainRig(t)
	const vary = fresh + " | Vary: Foo"
	g.ask("GET /a | Foo: 1", vary)
	wantTold(t, g.ask("GET /a | Foo: 2", vary), "fetched", "another variant")
	first, second := g.ask("GET /a | Foo: 1", vary), g.ask("GET /a | Foo: 2", vary)
	wantTold(t, first, "hit", "the first variant")
	wantTold(t, second, "hit", "the second variant")
	if !strings.HasPrefix(first.body, "v1") || !strings.HasPrefix(second.body, "v2") {
		t.Errorf("got %q and %q, each of the other", first.body, second.body)
	}
	g.ask("POST /a", "200")
	wantTold(t, g.ask("GET /a | Foo: 1", vary), "fetched", "the first variant after a write")
	wantTold(t, g.ask("GET /a | Foo: 2", vary), "fetched", "the second variant after a write")
}

func TestPlainFreshensByA304(t *testing.T) {
	g := newPlainRig(t)
	g.ask("GET /a", stale+` | ETag: "a" | Foo: old | Bar: kept | Content-Type: text/html`)
	got := g.ask("GET /a", `304 | ETag: "a" | Cache-Control: max-age=60 | Foo: new | Content-Type: image/png`)
	wantTold(t, got, "validated", "stale")
	again := g.ask("GET /a", fresh)
	wantTold(t, again, "hit", "freshened")
	for _, a := range []plainReply{got, again} {
		if h := a.header; h.Get("Foo") != "new" || h.Get("Bar") != "kept" || !strings.HasPrefix(h.Get("Content-Type"), "text/") || a.body != "v1........" {
			t.Errorf("got %q with %v", a.body, h)
		}
	}
}

func TestPlainAsksAgainWhereA304IsOfAnotherAnswer(t *testing.T) {
	g := newPlainRig(t)
	g.ask("GET /a", stale+` | ETag: "a"`)
	got := g.ask("GET /a", `304 | ETag: "b"`)
	if len(got.asked) != 2 || got.asked[1].Header.Get("If-None-Match") != "" {
		t.Errorf("the origin was asked %d times, want twice, the second time without a condition", len(got.asked))
	}
}

func TestPlainAnswersAndLearnsByHead(t *testing.T) {
	const tagged = fresh + ` | ETag: "a"`
	for name, tt := range map[string]struct {
		stored, request, answer string
		head, after             string
	}{
		"fresh":               {tagged, "HEAD /a", fresh, "hit", "hit"},
		"the same":            {stale + ` | ETag: "a"`, "HEAD /a", tagged, "fetched", "hit"},
		"another":             {tagged, "HEAD /a | Cache-Control: no-cache", fresh + ` | ETag: "b"`, "fetched", "fetched"},
		"another length":      {fresh, "HEAD /a | Cache-Control: no-cache", fresh + " | Content-Length: 99", "fetched", "fetched"},
		"an error":            {tagged, "HEAD /a | Cache-Control: no-cache", "500", "fetched 500", "hit"},
		"never stored itself": {"Cache-Control: no-store", "HEAD /a", fresh, "fetched", "fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newPlainRig(t)
			g.ask("GET /a", tt.stored)
			head := g.ask(tt.request, tt.answer)
			wantTold(t, head, tt.head, "the HEAD")
			if head.body != "" {
				t.Errorf("the HEAD has a body: %q", head.body)
			}
			wantTold(t, g.ask("GET /a", "200"), tt.after, "the GET afterwards")
		})
	}
}

func TestPlainServesStaleWhileItRevalidates(t *testing.T) {
	g := newPlainRig(t)
	g.ask("GET /a", stale+`, stale-while-revalidate=60 | ETag: "a"`)
	g.ask("GET /b", "Age: 100 | Cache-Control: max-age=60, stale-while-revalidate=60")
	got := g.ask("GET /b", fresh)
	if status := got.header.Get("Cache-Status"); !strings.HasPrefix(status, "osgate; hit; ttl=-4") || !strings.HasSuffix(status, "detail=stale-while-revalidate") {
		t.Errorf("Cache-Status is %q", status)
	}
	if !strings.HasPrefix(got.body, "v2") {
		t.Errorf("got %q, want what was stored", got.body)
	}
	g.plain.Close()
	again := g.ask("GET /b", fresh)
	wantTold(t, again, "hit", "afterwards")
	if !strings.HasPrefix(again.body, "v3") {
		t.Errorf("got %q, want what was fetched in the background", again.body)
	}
}

func TestPlainBreakingOriginDoesNotEndTheProcessInTheBackground(t *testing.T) {
	g := newPlainRig(t)
	g.ask("GET /a", "Age: 100 | Cache-Control: max-age=60, stale-while-revalidate=60")
	g.ask("GET /a", fresh+" | cut")
	g.plain.Close()
	g.ask("GET /a", fresh)
	g.plain.Close()
	wantTold(t, g.ask("GET /a", fresh), "hit", "after the second refresh")
}

func TestPlainStoresNoHeaderOfOneHop(t *testing.T) {
	g := newPlainRig(t)
	g.ask("GET /a", `Cache-Control: max-age=60, no-cache="C", private="D" | Connection: A | A: 1 | B: 2 | C: 3 | D: 4 | Proxy-Authenticate: Basic | Set-Cookie: a=b | X-Request-Id: 5`)
	got := g.ask("GET /a", fresh)
	wantTold(t, got, "hit", "stored")
	for _, name := range []string{"A", "C", "D", "Connection", "Proxy-Authenticate"} {
		if got.header.Get(name) != "" {
			t.Errorf("%s is replayed", name)
		}
	}
	for _, name := range []string{"B", "X-Request-Id", "Set-Cookie", "Date", "Via"} {
		if got.header.Get(name) == "" {
			t.Errorf("%s is not replayed", name)
		}
	}
}

func TestPlainForwardsWhatItIsAsked(t *testing.T) {
	g := newPlainRig(t)
	g.ask("GET /a%2fb?q;=%zz&x | X-Forwarded-For: 1.2.3.4 | Foo: 1 | Connection: Bar, Upgrade | Bar: 2 | Upgrade: websocket", fresh)
	r := g.asked[0]
	if r.RequestURI != "/a%2fb?q;=%zz&x" || r.Host != strings.TrimPrefix(g.url, "http://") {
		t.Errorf("the origin was asked for %s at %s", r.RequestURI, r.Host)
	}
	if h := r.Header; h.Get("X-Forwarded-For") != "1.2.3.4" || h.Get("Foo") != "1" || h.Get("Bar") != "" || h.Get("Upgrade") != "" || h.Get("Via") != "1.1 osgate" {
		t.Errorf("the origin was asked with %v", h)
	}
}

func TestPlainRefusals(t *testing.T) {
	g := newPlainRig(t)
	g.ask("GET /stale", "Cache-Control: max-age=60, must-revalidate | Age: 100 | ETag: \"a\"")
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"nothing is cached":          {"GET /x | Cache-Control: only-if-cached", 504},
		"a loop":                     {"GET /x | Via: 1.1 osgate", 508},
		"nobody at the origin":       {"GET /x", 502},
		"nobody, and it must answer": {"GET /stale", 504},
	} {
		got := g.ask(tt.request, "gone")
		if got.status != tt.status || got.header.Get("Proxy-Status") == "" || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %d with %v, want %d", name, got.status, got.header, tt.status)
		}
	}
	r, _ := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodConnect, g.url, nil)
	if answer, err := g.client.Do(r); err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusNotImplemented {
		t.Errorf("CONNECT: got %v, %v", answer, err)
	}
}
