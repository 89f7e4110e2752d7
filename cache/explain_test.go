package cache_test

import (
	"slices"
	"testing"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn/redistest"
)

func TestExplainTellsHowAReadWouldBeLookedFor(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	coherence := onRedis(t, s, coherence.RedisOptions{Settle: time.Minute})
	c := newCache(t, func(o *cache.Options) { o.Coherence = coherence })
	q := ask(t, "GET", keyPath)
	explain := func(q cache.Question) cache.Explanation {
		t.Helper()
		e, err := c.Explain(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}

	e := explain(q)
	want := []cache.Dependency{{Name: "store"}, {Name: "partition"}, {Name: "key"}}
	if e.Key != c.Key(q) || e.TTL != 10*time.Second || e.BypassReason != "" || !slices.Equal(e.Depends, want) {
		t.Errorf("before the first read: %+v", e)
	}
	c.Look(t.Context(), q, time.Now())
	asked := explain(q)
	for i, d := range asked.Depends {
		if d.Name != want[i].Name || len(d.Generation) != 8 {
			t.Errorf("after a read: %+v", d)
		}
	}
	if again := explain(q); len(asked.Epoch) != 8 || again.Epoch != asked.Epoch || !slices.Equal(again.Depends, asked.Depends) {
		t.Errorf("Explain changed the state: %+v, then %+v", asked, again)
	}
	m := mark(t, c, ask(t, "PUT", keyPath))
	written := explain(q)
	if written.BypassReason != "write-in-flight" || !slices.Equal(written.Depends, asked.Depends) {
		t.Errorf("while a key is written: %+v, before: %+v", written, asked)
	}
	m.Done(cache.Applied)
	for deadline := time.Now().Add(time.Minute); written.BypassReason != ""; written = explain(q) {
		if time.Now().After(deadline) {
			t.Fatal("the lease was not given back")
		}
	}
	if written.Depends[2] == asked.Depends[2] || written.Depends[0] != asked.Depends[0] {
		t.Errorf("after a key was written: %+v, before: %+v", written, asked)
	}
	for header, want := range map[string]string{"no-store": "no-store", "no-cache": "no-cache", "": ""} {
		q := ask(t, "HEAD", keysPath+"/other", "Cache-Control", header)
		if e := explain(q); e.BypassReason != want {
			t.Errorf("%q: %+v", header, e)
		}
	}
	s.Stop()
	if e, err := c.Explain(t.Context(), q); err == nil || e.BypassReason != "coherence-unavailable" || e.Key == "" {
		t.Errorf("without Redis: %+v, %v", e, err)
	}
}

func TestExplainTellsWhatIsNeverCached(t *testing.T) {
	c := newCache(t, func(o *cache.Options) { o.KeysTTL = 0 })
	for target, want := range map[string]string{keyPath + "?x=1": "query", keysPath: "disabled", keyPath: ""} {
		e, err := c.Explain(t.Context(), ask(t, "GET", target))
		if err != nil || e.BypassReason != want {
			t.Errorf("%s: %+v, %v", target, e, err)
		}
	}
	if e, err := c.Explain(t.Context(), ask(t, "PUT", keyPath)); err != nil || e.TTL != 0 || len(e.Depends) != 0 {
		t.Errorf("a write: %+v, %v", e, err)
	}
}
