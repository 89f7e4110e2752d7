package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
)

// TestTheClosestRuleCounts for the freshness of each store, and no rule raises it.
func TestTheClosestRuleCounts(t *testing.T) {
	rules := []cache.Rule{
		{Organization: "org", TTL: 9 * time.Second},
		{Organization: "org", Environment: "env", TTL: 8 * time.Second},
		{Organization: "org", Environment: "env", Prefix: true, TTL: 7 * time.Second},
		{Organization: "org", Environment: "env", Store: "APP_", Prefix: true, TTL: 6 * time.Second},
		{Organization: "org", Environment: "env", Store: "APP_billing", Prefix: true, TTL: 0},
		{Organization: "org", Environment: "env", Store: "APP_billing_rates", TTL: 5 * time.Second},
		{Organization: "org", Environment: "long", TTL: time.Hour},
		{Organization: "other", TTL: 0},
	}
	const key = "/partitions/p/keys/k"
	for target, want := range map[string]time.Duration{
		"environments/env/stores/st" + key:                7 * time.Second,
		"environments/env/stores/APP_x" + key:             6 * time.Second,
		"environments/env/stores/APP_billing" + key:       0,
		"environments/env/stores/APP_billing_1" + key:     0,
		"environments/env/stores/APP_billing_rates" + key: 5 * time.Second,
		"environments/env/stores/APP_billing_rates":       5 * time.Second,
		"environments/env/stores":                         8 * time.Second,
		"environments/test/stores/st" + key:               9 * time.Second,
		"environments/long/stores/st" + key:               10 * time.Second,
		"environments/long/stores":                        time.Minute,
		"regions":                                         9 * time.Second,
	} {
		c := newCache(t, func(o *cache.Options) { o.Rules = rules })
		if got := c.TTL(ask(t, "GET", target).Operation); got != want {
			t.Errorf("%s: fresh for %v, want %v", target, got, want)
		}
	}
}

// TestARuleHoldsForWhatIsStored: it bounds entries that were stored before it. If it
// turns the cache off, no entry is served or stored.
func TestARuleHoldsForWhatIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		read := ask(t, "GET", keyPath)
		fetch(t, c, read, 200, nil, "v")
		<-time.After(3 * time.Second)
		c.SetRules([]cache.Rule{{Store: "st", TTL: 4 * time.Second}})
		if got, _ := look(t, c, read); got != "osgate; hit; ttl=1" {
			t.Errorf("with a rule of 4 s after 3 s: %s", got)
		}
		<-time.After(time.Second)
		if got, _ := look(t, c, read); got != "osgate; fwd=stale" {
			t.Errorf("after 4 s: %s", got)
		}
		c.SetRules([]cache.Rule{{Store: "st"}})
		for range 2 {
			if got := fetch(t, c, read, 200, nil, "v"); got != "osgate; fwd=bypass; detail=rule" {
				t.Errorf("turned off: %s", got)
			}
		}
		c.SetRules(nil)
		if got, _ := look(t, c, read); got != "osgate; hit; ttl=6" {
			t.Errorf("without rules, after 4 s of 10: %s", got)
		}
	})
}

// TestClientsMayBeKeptFromForcingMisses by Cache-Control and Pragma.
func TestClientsMayBeKeptFromForcingMisses(t *testing.T) {
	c := newCache(t, func(o *cache.Options) { o.IgnoreClients = true })
	fetch(t, c, ask(t, "GET", keyPath, "Cache-Control", "no-store"), 200, nil, "v")
	for _, header := range [][]string{
		{"Cache-Control", "no-cache"}, {"Pragma", "no-cache"}, {"Cache-Control", "no-store"}, {"Cache-Control", "max-age=0"},
		{"Cache-Control", "min-fresh=60"}, {"Cache-Control", "only-if-cached, no-cache"},
	} {
		if _, body := look(t, c, ask(t, "GET", keyPath, header...)); body != "v" {
			t.Errorf("%v: %q, want a hit", header, body)
		}
	}
	if r := c.Look(t.Context(), ask(t, "GET", keyPath+"2", "Cache-Control", "only-if-cached"), time.Now()); !r.OnlyIfCached {
		t.Error("only-if-cached was ignored")
	}
}
