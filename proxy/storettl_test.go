package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
	"osgate/internal/via"
	"osgate/ratelimit"
	"osgate/record"
)

// ttlRequired makes a rig's cache keep only values of stores whose TTL is known.
func ttlRequired(t *testing.T) func(*Options) {
	t.Helper()
	return func(o *Options) {
		store, err := cache.New(cache.Options{
			KeyTTL: 10 * time.Second, Bytes: 1 << 20, EntryBytes: 1 << 16, GrantTTL: time.Minute, WriteLease: time.Minute, RequireTTL: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Cache = store
	}
}

// storesTakeTheir returns an upstream that takes d for each read of a store, which has
// a TTL of 400 s. It returns values at once.
func storesTakeTheir(d time.Duration) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if !isStore(r) {
			return reply(http.StatusOK, "v"), nil
		}
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return reply(http.StatusOK, `{"storeId":"s","defaultTtlSeconds":400}`), nil
	}
}

func isStore(r *http.Request) bool { return strings.HasSuffix(r.URL.Opaque, "/stores/s") }

// stores returns the requests for stores that upstream received.
func (g *rig) stores() (sent []*http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.sent {
		if isStore(r) {
			sent = append(sent, r)
		}
	}
	return sent
}

// own returns the records of the gateway's own requests.
func (g *rig) own() (own []record.Exchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, x := range g.exchanges {
		if x.CausedBy != "" {
			own = append(own, x)
		}
	}
	return own
}

func (g *rig) wantStatus(target, want string) {
	g.t.Helper()
	if w := g.get("one", target, "Cookie: theirs", "X-Request-Id: cause"); w.Code != http.StatusOK || w.Body.String() != "v" || w.Header().Get("Cache-Status") != want {
		g.t.Errorf("%d %q %q, want %q", w.Code, w.Body, w.Header().Get("Cache-Status"), want)
	}
}

func TestTheFirstReadLearnsTheTTLOfItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, ttlRequired(t))
		g.upstream = storesTakeTheir(100 * time.Millisecond)
		g.wantStatus(keyPath, "osgate; fwd=miss; stored")
		g.wantStatus(keyPath, "osgate; hit; ttl=3")
		g.wantStatus(keyPath+"2", "osgate; fwd=miss; stored")
		synctest.Wait()
		sent, own := g.stores(), g.own()
		if len(sent) != 1 || len(g.sent) != 3 || len(own) != 1 {
			t.Fatalf("%d of %d requests upstream are for the store, with %d records", len(sent), len(g.sent), len(own))
		}
		if h := sent[0].Header; h.Get("Authorization") != "Bearer one" || h.Get("Cookie") != "" || h.Get("User-Agent") != via.Name || h.Get("Via") == "" {
			t.Errorf("upstream got %v", h)
		}
		x := own[0]
		if x.CausedBy != "cause" || x.ID == "" || x.ID == "cause" || x.Operation != "getStore" || x.Status != 200 || x.UpstreamStatus != 200 || x.UpstreamAttempts != 1 ||
			x.Principal != "app-one" || x.Region != "us-east-1" || x.Store != "s" || x.Charged || x.Duration != 100*time.Millisecond {
			t.Errorf("%+v", x)
		}
		if got, want := x.Cache.Text(), "fwd=bypass; detail=disabled"; got != want {
			t.Errorf("the cache did %q, want %q", got, want)
		}
		if x.Counted() || !x.Billed() {
			t.Errorf("counted for the client: %t, billed by upstream: %t", x.Counted(), x.Billed())
		}
	})
}

func TestTheQueryOfAValueIsNotThatOfItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, ttlRequired(t))
		g.upstream = storesTakeTheir(0)
		g.get("one", keyPath+"?confirmable=false")
		sent := g.stores()
		if len(sent) != 1 || sent[0].URL.RawQuery != "" || sent[0].URL.ForceQuery {
			t.Errorf("upstream received %d requests for the store, want one without a query", len(sent))
		}
	})
}

func TestAHeadOfAValueLearnsTheTTLByAGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, ttlRequired(t))
		g.upstream = storesTakeTheir(0)
		g.do(request(t, "HEAD "+keyPath, "Authorization: Bearer one"))
		if sent := g.stores(); len(sent) != 1 || sent[0].Method != http.MethodGet {
			t.Errorf("upstream received %+v, want one GET of the store", sent)
		}
	})
}

func TestAValueWaitsForItsTTLForASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, ttlRequired(t))
		g.upstream = storesTakeTheir(2 * time.Second)
		began := time.Now()
		g.wantStatus(keyPath, "osgate; fwd=miss; detail=ttl-unknown")
		g.wantStatus(keyPath, "osgate; fwd=miss; detail=ttl-unknown") // this request does not wait
		if took := time.Since(began); took != time.Second {
			t.Errorf("both took %v, want 1 s", took)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		g.wantStatus(keyPath, "osgate; fwd=miss; stored")
	})
}

func TestResponsesWithoutAValueNeedNoTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, ttlRequired(t))
		for _, status := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusBadGateway} {
			g.upstream = func(*http.Request) (*http.Response, error) { return reply(status, ""), nil }
			began := time.Now()
			if w := g.get("one", keyPath); w.Code != status || time.Since(began) != 0 {
				t.Errorf("%d after %v, want %d", w.Code, time.Since(began), status)
			}
		}
		synctest.Wait()
		if n := len(g.stores()); n != 0 {
			t.Errorf("%d requests for the store", n)
		}
	})
}

func TestTheRequestForATTLIsCountedWhereUpstreamsAre(t *testing.T) {
	for name, test := range map[string]struct {
		change    func(*Options)
		code      string
		requested bool
	}{
		"the client has none left":  {quota(1, 1), "", true}, // the request is not the client's
		"upstream counts, no quota": {func(o *Options) { quota(1, 1)(o); o.CountUpstream = true }, "", true},
		"the budget has none left":  {func(o *Options) { o.Budget = ratelimit.Quota{Rate: 1, Period: time.Second, Burst: 1} }, "over-budget", false},
		"nothing has to be counted": {func(o *Options) { o.Quota = func(string) ratelimit.Quota { return ratelimit.Quota{} } }, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, ttlRequired(t), test.change)
				g.upstream = storesTakeTheir(0)
				if w := g.get("one", keyPath); w.Code != http.StatusOK {
					t.Errorf("the client got %d", w.Code)
				}
				synctest.Wait()
				if own := g.own(); len(own) != 1 || own[0].Code != record.Code(test.code) || len(g.stores()) > 0 != test.requested {
					t.Errorf("%d requests, records %+v", len(g.stores()), own)
				}
			})
		})
	}
}

func TestManyReadsOfAStoreRequestItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, ttlRequired(t))
		g.upstream = storesTakeTheir(50 * time.Millisecond)
		var clients sync.WaitGroup
		for i := range 50 {
			clients.Go(func() { g.wantStatus(keyPath+itoa(i), "osgate; fwd=miss; stored") })
		}
		clients.Wait()
		if n := len(g.stores()); n != 1 {
			t.Errorf("%d requests for the store", n)
		}
	})
}

func TestARefusedTokenIsDoubtedByTheRequestForATTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, ttlRequired(t))
		g.upstream = func(r *http.Request) (*http.Response, error) {
			if isStore(r) {
				return reply(http.StatusUnauthorized, ""), nil
			}
			return reply(http.StatusOK, "v"), nil
		}
		g.wantStatus(keyPath, "osgate; fwd=miss; detail=ttl-unknown")
		synctest.Wait()
		if g.doubted != 1 {
			t.Errorf("the token was doubted %d times", g.doubted)
		}
		g.wantStatus(keyPath, "osgate; fwd=miss; detail=ttl-unknown")
		if n := len(g.stores()); n != 1 {
			t.Errorf("%d requests for the store: a refusal is not remembered", n)
		}
	})
}

func TestCloseWaitsForTheRequestsForTTLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, ttlRequired(t))
		g.upstream = storesTakeTheir(20 * time.Second)
		g.get("one", keyPath)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v while a request was under way", err)
		}
		<-time.After(20 * time.Second)
		if own := g.own(); len(own) != 1 || own[0].Status != 200 {
			t.Errorf("%+v", own)
		}
	})
}
