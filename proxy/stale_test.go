package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/cache"
	"osgate/ratelimit"
)

// staleness lets a rig's cache serve answers for longer than they are fresh, which is
// 10 s.
func staleness(t *testing.T, whileRevalidate, ifError time.Duration) func(*Options) {
	t.Helper()
	return func(o *Options) {
		store, err := cache.New(cache.Options{
			KeyTTL: 10 * time.Second, Bytes: 1 << 20, EntryBytes: 1 << 16, GrantTTL: time.Minute, WriteLease: time.Minute,
			StaleWhileRevalidate: whileRevalidate, StaleIfError: ifError,
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Cache = store
	}
}

func TestStaleIsServedAtOnceAndAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 0))
		g.get("one", keyPath)
		etag := g.get("one", keyPath).Header().Get("Etag")
		<-time.After(12 * time.Second)
		gate := g.behind(ok("new"))
		for range 3 { // upstream does not answer, and no request waits for it
			w := g.get("one", keyPath)
			if w.Body.String() != "v1" || w.Header().Get("Cache-Status") != "osgate; hit; ttl=-2; detail=stale-while-revalidate" || w.Header().Get("Age") != "12" {
				t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
			}
		}
		if w := g.get("one", keyPath, "If-None-Match: "+etag); w.Code != http.StatusNotModified {
			t.Errorf("with its own ETag: %d", w.Code)
		}
		close(gate.open)
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		asked, last := g.served()
		if gate.came.Load() != 1 || asked != 2 || last.Status != 200 || !last.Hit || last.UpstreamAttempts != 1 || last.UpstreamStatus != 200 || last.Duration > time.Second {
			t.Errorf("%d requests upstream, %d on record, the last: %+v", gate.came.Load(), asked, last)
		}
		if w := g.get("one", keyPath); w.Body.String() != "new" || !strings.HasPrefix(w.Header().Get("Cache-Status"), "osgate; hit; ttl=10") {
			t.Errorf("%s %v", w.Body, w.Header())
		}
	})
}

// TestARefreshWaitsAsLongAsItsClientCould: the wait of the client does not shorten that
// of the refresh. Its client waits one second for its quota, and the refresh one more
// for the end of upstream's pause.
func TestARefreshWaitsAsLongAsItsClientCould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 0), quota(1, 1), func(o *Options) { o.MaxWait = 1500 * time.Millisecond })
		answer := g.upstream
		g.upstream = func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Opaque, "/limited") {
				return reply(http.StatusTooManyRequests, "", "Retry-After", "2"), nil
			}
			return answer(r)
		}
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		g.get("one", strings.TrimSuffix(keyPath, "k")+"limited")
		if w := g.get("one", keyPath); !strings.HasSuffix(w.Header().Get("Cache-Status"), "stale-while-revalidate") || w.Header().Get("Age") != "13" {
			t.Errorf("%d %v, want a stale hit after one second", w.Code, w.Header())
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if x := g.last(); x.UpstreamStatus != http.StatusOK || x.Cause != "" {
			t.Errorf("the refresh: %d, cause %q; want 200", x.UpstreamStatus, x.Cause)
		}
	})
}

func TestARefreshIsNotConditional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 0))
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		g.get("one", keyPath, `If-None-Match: "theirs"`)
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := g.sent[1].Header; len(got["If-None-Match"]) != 0 || got.Get("Authorization") != "Bearer one" {
			t.Errorf("upstream got %v", got)
		}
	})
}

func TestARefreshOutlivesItsClientAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 0))
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		gate := g.behind(ok("never")) // it stays closed
		ctx, leave := context.WithCancel(t.Context())
		g.do(g.read().WithContext(ctx))
		leave()
		synctest.Wait()
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Close(late); !errors.Is(err, context.DeadlineExceeded) || gate.came.Load() != 1 {
			t.Errorf("%v after %d requests", err, gate.came.Load())
		}
		<-time.After(upstreamTimeout + idleTimeout)
		synctest.Wait()
		if _, last := g.served(); last.Status != 200 || !strings.HasPrefix(last.Cause, "refreshing a stale answer") {
			t.Errorf("record %+v", last)
		}
	})
}

func TestRefreshesAreBoundedInNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 0))
		keys := make([]string, maxRefreshes+5)
		for i := range keys {
			keys[i] = keyPath + itoa(i)
			g.get("one", keys[i])
		}
		<-time.After(12 * time.Second)
		gate := g.behind(ok("new"))
		for _, key := range keys {
			if s := status(g, "one", key); !strings.Contains(s, "hit") {
				t.Errorf("%s: %s", key, s)
			}
		}
		synctest.Wait()
		if gate.came.Load() != maxRefreshes {
			t.Errorf("%d at once, want %d", gate.came.Load(), maxRefreshes)
		}
		close(gate.open)
		synctest.Wait()
		g.get("one", keys[len(keys)-1]) // a refresh that had no room is made later
		synctest.Wait()
		if gate.came.Load() != maxRefreshes+1 {
			t.Errorf("%d in all", gate.came.Load())
		}
	})
}

func TestARefreshIsPaidForWhereUpstreamCounts(t *testing.T) {
	for _, counts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, staleness(t, 20*time.Second, 0), func(o *Options) {
				o.CountUpstream = counts
				o.Budget, o.BudgetBy = ratelimit.Quota{Rate: 2, Period: time.Hour, Burst: 2}, "egress"
			})
			g.get("one", keyPath)
			<-time.After(12 * time.Second)
			g.get("one", keyPath)
			if err := g.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if _, last := g.served(); !last.Charged || last.UpstreamAttempts != 1 {
				t.Errorf("counting upstream is %t: %+v", counts, last)
			}
			if w := g.get("one", storePath); w.Code != 429 || codeOf(t, w) != "over-budget" {
				t.Errorf("the budget was spared: %d", w.Code)
			}
		})
	}
}

func TestStaleStandsInWhereUpstreamFails(t *testing.T) {
	for name, answer := range map[string]func() (*http.Response, error){
		"500":         func() (*http.Response, error) { return reply(500, "down"), nil },
		"502":         func() (*http.Response, error) { return reply(502, "down"), nil },
		"503":         func() (*http.Response, error) { return reply(503, "down"), nil },
		"504":         func() (*http.Response, error) { return reply(504, "down"), nil },
		"unreachable": func() (*http.Response, error) { return nil, errors.New("refused") },
		"late":        func() (*http.Response, error) { return nil, context.DeadlineExceeded },
		"cut": func() (*http.Response, error) {
			answer := reply(200, "half")
			answer.ContentLength, answer.Body = 8, io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{err: io.ErrUnexpectedEOF}))
			return answer, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, staleness(t, 0, 20*time.Second))
				g.get("one", keyPath)
				<-time.After(12 * time.Second)
				g.upstream = func(*http.Request) (*http.Response, error) { return answer() }
				w := g.get("one", keyPath)
				if w.Code != 200 || w.Body.String() != "v1" || w.Header().Get("Cache-Status") != "osgate; hit; ttl=-2; detail=stale-if-error" || w.Header().Get("Age") != "12" || w.Header().Get("Proxy-Status") != "" {
					t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
				}
				if x := g.last(); x.Status != 200 || x.Code != "" || x.UpstreamAttempts != 1 || x.Cause == "" || !x.Hit {
					t.Errorf("record %+v", x)
				}
				<-time.After(18 * time.Second) // beyond the window
				if w := g.get("one", keyPath); w.Code < 500 {
					t.Errorf("beyond the window: %d", w.Code)
				}
			})
		})
	}
}

func TestStaleDoesNotStandInForOtherAnswers(t *testing.T) {
	for _, code := range []int{404, 403, 401, 501} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, staleness(t, 0, 20*time.Second))
			g.get("one", keyPath)
			<-time.After(12 * time.Second)
			g.upstream = func(*http.Request) (*http.Response, error) { return reply(code, "no"), nil }
			if w := g.get("one", keyPath); w.Code != code {
				t.Errorf("%d, want %d", w.Code, code)
			}
		})
	}
}

func TestAWriteEndsStaleAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 20*time.Second))
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		g.do(request(t, "PUT "+keyPath, "Authorization: Bearer two", "", "{}"))
		g.upstream = func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }
		if w := g.get("one", keyPath); w.Code != 502 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestARefreshThatIsCutDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 0))
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		g.upstream = func(*http.Request) (*http.Response, error) {
			answer := reply(200, "half")
			answer.ContentLength, answer.Body = 8, io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{err: io.ErrUnexpectedEOF}))
			return answer, nil
		}
		// With a server in the context, ReverseProxy panics if an answer breaks off.
		serverLike := context.WithValue(t.Context(), http.ServerContextKey, &http.Server{ReadHeaderTimeout: time.Second})
		g.do(g.read().WithContext(serverLike))
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, last := g.served(); last.Status != 200 || last.Aborted || !strings.HasPrefix(last.Cause, "refreshing a stale answer") {
			t.Errorf("record %+v", last)
		}
	})
}

func TestTheEnvironmentSharesEntriesButNotRights(t *testing.T) {
	g := newRig(t, func(o *Options) { o.SharedScope = true })
	g.get("one", keyPath)
	ok := g.upstream
	g.upstream = func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") == "Bearer two" && strings.Contains(r.URL.Opaque, "/keys/") {
			return reply(403, "this token has read:store only"), nil
		}
		return ok(r)
	}
	for range 3 { // upstream permits the store, never its keys
		g.get("two", storePath)
		if w := g.get("two", keyPath); w.Code != 403 || strings.Contains(w.Header().Get("Cache-Status"), "hit") {
			t.Errorf("a token without the right: %d %v", w.Code, w.Header())
		}
	}
	other := storePath + "/partitions/p/keys/other"
	g.get("login", other) // to prove its right to read keys of this store
	if w := g.get("login", keyPath); w.Body.String() != "v1" || !strings.Contains(w.Header().Get("Cache-Status"), "hit") {
		t.Errorf("a token with the right: %s %v", w.Body, w.Header())
	}
}

func TestTheEnvironmentSharesNothingPrivate(t *testing.T) {
	g := newRig(t, func(o *Options) { o.SharedScope = true })
	g.upstream = func(*http.Request) (*http.Response, error) {
		return reply(200, "mine", "Cache-Control", "private"), nil
	}
	for range 2 {
		if s := status(g, "one", keyPath); s != "osgate; fwd=miss; detail=private" {
			t.Errorf("%s", s)
		}
	}
}

func TestExplainTellsWhyTheCacheIsPassedBy(t *testing.T) {
	g := newRig(t)
	e := g.Explain(g.read("Cache-Control: no-store"), auth.Caller{Name: "app-one"})
	if e.Cache != "10s" || e.CacheKey == "" || e.CachePast != "no-store" || e.Generations != "" {
		t.Errorf("%+v", e)
	}
	if e := g.Explain(g.read(), auth.Caller{Name: "app-one"}); e.CachePast != "" {
		t.Errorf("%+v", e)
	}
	if len(g.sent) != 0 {
		t.Error("explaining asked upstream")
	}
}

func TestStaleSparesAFailingUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 0, 20*time.Second))
		g.get("one", keyPath)
		<-time.After(12 * time.Second)
		gate := g.behind(func() (*http.Response, error) { return reply(503, "down"), nil })
		first, second, third := g.start(g.read()), g.start(g.read()), g.start(g.read())
		close(gate.open)
		for _, w := range []int{(<-first).Code, (<-second).Code, (<-third).Code} {
			if w != 200 {
				t.Errorf("%d", w)
			}
		}
		if gate.came.Load() != 1 {
			t.Errorf("%d requests upstream", gate.came.Load())
		}
	})
}
