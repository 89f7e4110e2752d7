package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
)

// status requests target and returns the Cache-Status of the answer.
func status(g *rig, token, target string, lines ...string) string {
	g.t.Helper()
	return g.get(token, target, lines...).Header().Get("Cache-Status")
}

func TestASecondReadIsAHitWithLiveHeaders(t *testing.T) {
	g := newRig(t, quota(1, 100))
	first := g.get("one", keyPath, "X-Request-Id: a")
	second := g.get("one", keyPath, "X-Request-Id: b")
	h := second.Header()
	if len(g.sent) != 1 || second.Body.String() != first.Body.String() || second.Code != 200 {
		t.Fatalf("%d requests upstream; %d %s", len(g.sent), second.Code, second.Body)
	}
	if !strings.HasPrefix(h.Get("Cache-Status"), "osgate; hit; ttl=") || h.Get("Age") != "0" || h.Get("X-Request-Id") != "b" || h.Get("RateLimit") != `"client";r=98;t=1` ||
		h.Get("X-Osgate-Region") != "us/us-east-1" || h.Get("Via") != "1.1 osgate" || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "private, no-cache" || h.Get("Server") != "" {
		t.Errorf("headers of a hit: %v", h)
	}
	if x := g.last(); !x.Hit || x.UpstreamAttempts != 0 || !x.Cache.Hit || x.ResponseBytes == 0 {
		t.Errorf("record %+v", x)
	}
	etag := h.Get("Etag")
	if w := g.get("one", keyPath, "If-None-Match: "+etag); w.Code != 304 || w.Body.Len() != 0 || !strings.HasPrefix(etag, `W/"osg-`) {
		t.Errorf("If-None-Match %s: %d %s", etag, w.Code, w.Body)
	}
	g.get("one", keyPath, "If-None-Match: "+etag+`, "theirs"`, "Cache-Control: no-cache")
	if got := g.sent[1].Header["If-None-Match"]; len(got) != 1 || got[0] != `"theirs"` {
		t.Errorf("upstream was told %q", got)
	}
}

func TestAHitIsAPrincipalsOwn(t *testing.T) {
	g := newRig(t)
	g.get("one", keyPath)
	for _, token := range []string{"two", "ann", "login"} {
		if s := status(g, token, keyPath); strings.Contains(s, "hit") {
			t.Errorf("%s was served app-one's entry: %s", token, s)
		}
	}
	// A second token of the same client must first prove its own right.
	if s := status(g, "again", keyPath); strings.Contains(s, "hit") {
		t.Errorf("a token without a grant: %s", s)
	}
	if s := status(g, "again", keyPath); !strings.Contains(s, "hit") {
		t.Errorf("a token with a grant: %s", s)
	}
}

func TestATokenThatNobodyVouchesForIsForwardedOnly(t *testing.T) {
	g := newRig(t)
	g.get("one", keyPath)
	g.get("stale", keyPath)
	if w := g.get("stale", keyPath); w.Code != 200 || len(g.sent) != 3 || strings.Contains(w.Header().Get("Cache-Status"), "hit") {
		t.Errorf("%d, %d requests upstream, %v", w.Code, len(g.sent), w.Header())
	}
}

func TestARefusalUpstreamEndsATokensHits(t *testing.T) {
	for _, code := range []int{401, 403} {
		g := newRig(t)
		g.get("one", keyPath)
		ok := g.upstream
		g.upstream = func(*http.Request) (*http.Response, error) { return reply(code, "no"), nil }
		g.get("one", storePath)
		g.upstream = ok
		if s := status(g, "one", keyPath); strings.Contains(s, "hit") || (code == 401) != (g.doubted == 1) {
			t.Errorf("after %d: %s, doubted %d", code, s, g.doubted)
		}
	}
}

func TestAWriteIsSeenByTheNextRead(t *testing.T) {
	for _, write := range []string{"PUT " + keyPath, "POST " + keyPath, "DELETE " + keyPath, "DELETE " + storePath, "DELETE " + storePath + "/partitions/p", "GET " + keyPath + "?confirmable=true"} {
		g := newRig(t)
		g.get("one", keyPath)
		if w := g.do(request(t, write, "Authorization: Bearer two", "", "{}")); w.Code != 200 {
			t.Fatalf("%s: %d", write, w.Code)
		}
		if w := g.get("one", keyPath); strings.Contains(w.Header().Get("Cache-Status"), "hit") || w.Body.String() != "v3" {
			t.Errorf("after %s: %s %s", write, w.Header().Get("Cache-Status"), w.Body)
		}
		want := "hit"
		if strings.Contains(write, "confirmable") {
			want = "fwd=bypass" // it may be rolled back: nothing is cached meanwhile
		}
		if s := status(g, "one", keyPath); !strings.Contains(s, want) {
			t.Errorf("after %s and a read: %s, want %s", write, s, want)
		}
	}
}

func TestAWriteOfUnknownOutcomeKeepsReadsAtUpstream(t *testing.T) {
	for name, answer := range map[string]func() (*http.Response, error){
		"500": func() (*http.Response, error) { return reply(500, ""), nil },
		"408": func() (*http.Response, error) { return reply(408, ""), nil },
		"cut": func() (*http.Response, error) { return nil, errors.New("reset") },
	} {
		g := newRig(t)
		g.get("one", keyPath)
		ok := g.upstream
		g.upstream = func(*http.Request) (*http.Response, error) { return answer() }
		g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}"))
		g.upstream = ok
		g.get("one", keyPath)
		if s := status(g, "one", keyPath); !strings.Contains(s, "fwd=bypass") {
			t.Errorf("after %s: %s", name, s)
		}
	}
}

func TestAWriteIsCarriedToItsAnswerThoughTheClientLeaves(t *testing.T) {
	g := newRig(t)
	ctx, leave := context.WithCancel(t.Context())
	ok := g.upstream
	g.upstream = func(r *http.Request) (*http.Response, error) {
		leave()
		if r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
		return reply(200, "{}"), nil
	}
	g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}").WithContext(ctx))
	if g.last().UpstreamStatus != 200 {
		t.Errorf("the write was given up: %+v", g.last())
	}
	g.upstream = ok
	g.get("one", keyPath)
	if s := status(g, "one", keyPath); !strings.Contains(s, "hit") {
		t.Errorf("its outcome is not known: %s", s)
	}
}

func TestAReadEndsWithItsClient(t *testing.T) {
	g := newRig(t)
	ctx, leave := context.WithCancel(t.Context())
	g.upstream = func(r *http.Request) (*http.Response, error) {
		leave()
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	g.do(request(t, "GET "+keyPath, "Authorization: Bearer one").WithContext(ctx))
	if x := g.last(); x.Status != 499 || x.UpstreamStatus != 0 || x.Code != "" {
		t.Errorf("record %+v", x)
	}
}

func TestCacheControlOfTheClientIsObeyed(t *testing.T) {
	g := newRig(t)
	if w := g.get("one", keyPath, "Cache-Control: only-if-cached"); w.Code != 504 || len(g.sent) != 0 {
		t.Errorf("only-if-cached on an empty cache: %d", w.Code)
	}
	if s := status(g, "one", keyPath, "Cache-Control: no-store"); !strings.HasPrefix(s, "osgate; fwd=request") || strings.Contains(s, "stored") {
		t.Errorf("no-store: %s", s)
	}
	status(g, "one", keyPath)
	if s := status(g, "one", keyPath, "Cache-Control: only-if-cached"); !strings.Contains(s, "hit") {
		t.Errorf("only-if-cached on a hit: %s", s)
	}
	if s := status(g, "one", keyPath+"?x=1"); s != "osgate; fwd=bypass; detail=query" {
		t.Errorf("a query that is not understood: %s", s)
	}
}

func TestOurValidatorsGuardNoWrite(t *testing.T) {
	g := newRig(t)
	g.get("one", keyPath)
	etag := g.get("one", keyPath).Header().Get("Etag")
	w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "If-Match: "+etag, "", "{}"))
	if w.Code != http.StatusPreconditionFailed || len(g.sent) != 1 {
		t.Errorf("%d, %d requests upstream", w.Code, len(g.sent))
	}
	g.do(request(t, "PUT "+storePath+"/partitions/p/keys/other", "Authorization: Bearer one", "If-Match: "+etag+`, "theirs"`, "", "{}"))
	if got := g.sent[1].Header["If-Match"]; len(got) != 1 || got[0] != `"theirs"` {
		t.Errorf("upstream was told %q", got)
	}
	if s := status(g, "one", keyPath); !strings.Contains(s, "hit") {
		t.Errorf("a write that was refused marked something: %s", s)
	}
}

// brokenCoherence is a store of generations that is unreachable.
type brokenCoherence struct{ coherence.Tracker }

func (brokenCoherence) Read(context.Context, coherence.Resources) (coherence.Reading, error) {
	return coherence.Reading{}, errors.New("away")
}

func (brokenCoherence) Mark(context.Context, coherence.Resources, coherence.ID, time.Duration) error {
	return errors.New("away")
}

func TestAWriteThatMustBeMarkedAndCannotBeIsNotSent(t *testing.T) {
	g := newRig(t, withoutCoherence(t))
	w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}"))
	if w.Code != http.StatusServiceUnavailable || codeOf(t, w) != "overloaded" || w.Header().Get("Retry-After") != "1" || len(g.sent) != 0 {
		t.Errorf("%d %s, %d requests upstream", w.Code, w.Body, len(g.sent))
	}
	if x := g.last(); !strings.Contains(x.Cause, "away") {
		t.Errorf("record %+v", x)
	}
}

// withoutCoherence gives a rig a cache whose store of generations is unreachable.
func withoutCoherence(t *testing.T) func(*Options) {
	t.Helper()
	return func(o *Options) {
		store, err := cache.New(cache.Options{
			KeyTTL: 1e9, Bytes: 1 << 20, EntryBytes: 1 << 16, GrantTTL: 1e9, WriteLease: 1e9, Coherence: brokenCoherence{coherence.NewLocal()},
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Cache = store
	}
}

func TestUnknownCoherenceIsAsWithoutACache(t *testing.T) {
	g := newRig(t, withoutCoherence(t))
	for range 2 {
		if s := status(g, "one", keyPath); !strings.Contains(s, "fwd=bypass") {
			t.Errorf("%s", s)
		}
	}
}
