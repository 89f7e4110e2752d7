package cache_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
)

// stale makes a cache with a freshness of 10 s and windows of 20 s (while revalidating)
// and 40 s (if there is an error).
func stale(t testing.TB) *cache.Cache {
	t.Helper()
	return newCache(t, func(o *cache.Options) { o.StaleWhileRevalidate, o.StaleIfError = 20*time.Second, 40*time.Second })
}

func (r *reader) status() string { return r.found.Status.String() }

func TestStaleIsServedWhileOneRequestAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stale(t)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "old")
		pass(12*time.Second + time.Millisecond)
		first, second := read(t, c, q), read(t, c, q)
		for _, r := range []*reader{first, second} {
			if r.found.Entry == nil || r.found.Wait || r.status() != "osgate; hit; ttl=-3; detail=stale-while-revalidate" || r.found.Entry.Age(time.Now()) != 12*time.Second+time.Millisecond {
				t.Fatalf("got %s, %+v", r.status(), r.found)
			}
		}
		if first.found.Fill == nil || second.found.Fill != nil {
			t.Fatalf("asking again: %v and %v, want one", first.found.Fill != nil, second.found.Fill != nil)
		}
		c.Grant(q, time.Now())
		first.finish(200, nil, "new")
		wantLook(t, c, q, "osgate; hit; ttl=10", "new")
		if s := c.Stats(); s.Stale != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRefreshThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stale(t)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "old")
		pass(11 * time.Second)
		read(t, c, q).found.Fill.Close(false)
		if r := read(t, c, q); r.found.Entry == nil || r.found.Fill == nil {
			t.Errorf("got %+v", r.found)
		}
	})
}

func TestReadBeyondTheWindowWaitsForTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stale(t)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "old")
		pass(29 * time.Second)
		first := read(t, c, q)
		pass(time.Second)
		late := follow(t, c, q)
		first.finish(200, nil, "new")
		if got := <-late; got.Entry == nil || string(got.Entry.Body) != "new" || got.Status.String() != "osgate; fwd=stale; collapsed" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestStaleStandsInForAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stale(t)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "old")
		pass(30 * time.Second)
		leader := lead(t, c, q)
		failed, shared := follow(t, c, q), follow(t, c, ask(t, "GET", keyPath, "Cache-Control", "min-fresh=1"))
		if leader.status() != "osgate; fwd=stale" {
			t.Errorf("got %s", leader.status())
		}
		found, ok := leader.search.Fallback(time.Now())
		if !ok || string(found.Entry.Body) != "old" || found.Status.String() != "osgate; hit; ttl=-20; detail=stale-if-error" {
			t.Errorf("got %t, %+v", ok, found)
		}
		leader.finish(503, nil, "down")
		if got := <-failed; got.Entry == nil || got.Entry.Status != 200 || got.Status.Detail != "stale-if-error" {
			t.Errorf("a follower got %+v", got)
		}
		if got := <-shared; got.err == nil && got.Entry != nil && got.Entry.Status == 200 {
			t.Errorf("a follower that wants it fresh got %+v", got)
		}
		pass(20*time.Second - 1)
		if _, ok := leader.search.Fallback(time.Now()); !ok {
			t.Error("not until the window ends")
		}
		pass(1)
		if _, ok := leader.search.Fallback(time.Now()); ok {
			t.Error("beyond the window")
		}
		if s := c.Stats(); s.Fallbacks != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestStaleIsNeverServedWhenItMustNotBe(t *testing.T) {
	for _, tt := range []struct {
		name         string
		status       int
		said, wanted string // Cache-Control of the answer and of the request
		between      func(t *testing.T, c *cache.Cache, q cache.Question)
		after        time.Duration
	}{
		{name: "must-revalidate", said: "must-revalidate"},
		{name: "proxy-revalidate", said: "proxy-revalidate"},
		{name: "s-maxage", said: "s-maxage=10"},
		{name: "upstream's own windows are smaller", said: "stale-while-revalidate=1, stale-if-error=1"},
		{name: "upstream's own windows cannot be read", said: "stale-while-revalidate=x, stale-if-error=x"},
		{name: "absence", status: 404},
		{name: "no-cache", wanted: "no-cache"},
		{name: "max-age", wanted: "max-age=60"},
		{name: "min-fresh", wanted: "min-fresh=1"},
		{name: "max-stale is less", wanted: "max-stale=1"},
		{name: "max-age with max-stale", wanted: "max-age=11, max-stale=60"},
		{name: "beyond both windows", after: 40 * time.Second},
		{name: "a write", between: func(t *testing.T, c *cache.Cache, _ cache.Question) {
			mark(t, c, ask(t, "PUT", keyPath)).Done(cache.Applied)
		}},
		{name: "a write in flight", between: func(t *testing.T, c *cache.Cache, _ cache.Question) { mark(t, c, ask(t, "PUT", keyPath)) }},
		{name: "a right withdrawn", between: func(t *testing.T, c *cache.Cache, q cache.Question) { c.Revoke(t.Context(), q.Token) }},
		{name: "a purge", between: func(t *testing.T, c *cache.Cache, _ cache.Question) {
			if _, err := c.Purge(t.Context(), cache.PurgeTarget{All: true}); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := stale(t)
				status, header := 200, http.Header{"Cache-Control": {tt.said}}
				if tt.status != 0 {
					status = tt.status
				}
				fetch(t, c, ask(t, "GET", keyPath), status, header, "old")
				c.Grant(ask(t, "GET", keyPath), time.Now())
				pass(12*time.Second + tt.after)
				q := ask(t, "GET", keyPath, "Cache-Control", tt.wanted)
				if tt.between != nil {
					tt.between(t, c, q)
				}
				r := read(t, c, q)
				_, ok := r.search.Fallback(time.Now())
				if r.found.Entry != nil || ok {
					t.Errorf("got %+v, and %t in need", r.found, ok)
				}
			})
		})
	}
}

func TestStaleNeedsALiveGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, func(o *cache.Options) { o.StaleIfError, o.GrantTTL = time.Hour/2, 20*time.Second })
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "old")
		pass(15 * time.Second)
		r := read(t, c, q)
		pass(6 * time.Second) // the time after which upstream failed
		if _, ok := r.search.Fallback(time.Now()); ok {
			t.Error("the grant had ended")
		}
		other := q
		other.Token = [32]byte{2}
		late := read(t, c, other)
		if _, ok := late.search.Fallback(time.Now()); ok || late.found.Entry != nil {
			t.Error("a token without a grant")
		}
	})
}

func TestStaleValuesDoNotOutliveTheirStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stale(t)
		fetch(t, c, ask(t, "GET", storePath), 200, nil, `{"storeId":"st","defaultTtlSeconds":15}`)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "old")
		pass(14 * time.Second)
		if r := read(t, c, q); r.found.Entry == nil {
			t.Errorf("within the store's own life: %+v", r.found)
		}
		pass(time.Second)
		r := read(t, c, q)
		if _, ok := r.search.Fallback(time.Now()); r.found.Entry != nil || ok {
			t.Errorf("beyond: %+v, %t", r.found, ok)
		}
	})
}

func TestClientMayAskForLessStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stale(t)
		fetch(t, c, ask(t, "GET", keyPath), 200, nil, "old")
		pass(12 * time.Second)
		for wanted, want := range map[string]bool{"max-stale": true, "max-stale=2": true, "max-stale=1": false, "max-age=12, max-stale=5": true} {
			r := read(t, c, ask(t, "GET", keyPath, "Cache-Control", wanted))
			if (r.found.Entry != nil) != want {
				t.Errorf("%s: served is %t, want %t", wanted, r.found.Entry != nil, want)
			}
			if r.found.Fill != nil {
				r.found.Fill.Close(false)
			}
		}
	})
}

func TestFreshnessAndStalenessTogetherAreBounded(t *testing.T) {
	for name, o := range map[string]cache.Options{
		"StaleIfError":         {KeyTTL: 50 * time.Minute, StaleIfError: 11 * time.Minute},
		"StaleWhileRevalidate": {KeysTTL: 50 * time.Minute, StaleWhileRevalidate: 11 * time.Minute},
		"want 0 or more":       {StaleIfError: -1},
	} {
		o.WriteLease = time.Minute
		if _, err := cache.New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		o.StaleIfError, o.StaleWhileRevalidate = min(10*time.Minute, max(0, o.StaleIfError)), min(10*time.Minute, o.StaleWhileRevalidate)
		if _, err := cache.New(o); err != nil {
			t.Errorf("%s within the bound: %v", name, err)
		}
	}
}
