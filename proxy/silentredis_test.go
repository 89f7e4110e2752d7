package proxy

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// TestASilentRedisHoldsUpNoRequestForMoreThanTwoRoundTrips checks invariant 4: requests
// continue within 100 ms, which is twice the default of OSGATE_REDIS_TIMEOUT. No round
// trip lasts longer than that (internal/redisconn, in fake time), so a request may wait
// for two. Redis is silent, and the gateway does not know it yet.
func TestASilentRedisHoldsUpNoRequestForMoreThanTwoRoundTrips(t *testing.T) {
	const bound, redisTimeout = 100 * time.Millisecond, 50 * time.Millisecond
	for _, tt := range []struct {
		budget   int
		upstream bool // only requests that reach upstream count
		method   string
		most     int64
	}{
		{0, false, "GET", 1}, {0, false, "PUT", 2}, {1000, false, "GET", 1}, {1000, false, "PUT", 2}, {0, true, "GET", 2}, {1000, true, "GET", 2}, {1000, true, "PUT", 2},
	} {
		t.Run(fmt.Sprintf("%s, budget %d, upstream counts %v", tt.method, tt.budget, tt.upstream), func(t *testing.T) {
			s := redistest.Start(t)
			var trips atomic.Int64
			conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: 300 * time.Millisecond, OnTrip: func(redisconn.RoundTrip) { trips.Add(1) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			g := newRig(t, silentRedis(t, conn), func(o *Options) {
				o.Budget, o.BudgetBy = ratelimit.Quota{Rate: tt.budget, Period: time.Second, Burst: tt.budget}, ratelimit.BudgetByEgress
				o.CountUpstream = tt.upstream
			})
			serve := func() int { return g.do(request(t, tt.method+" "+keyPath, "Authorization: Bearer one", "", "{}")).Code }
			serve() // loads the scripts
			s.Pause()
			trips.Store(0)
			if code := serve(); code != 200 {
				t.Errorf("answered %d without Redis", code)
			}
			if n := trips.Load(); n == 0 || n > tt.most || time.Duration(n)*redisTimeout > bound {
				t.Errorf("waited for %d round trips, want 1 to %d", n, tt.most)
			}
			s.Resume()
		})
	}
}

// silentRedis makes a rig count quotas and store generations through conn, and continue
// without it.
func silentRedis(t *testing.T, conn *redisconn.Conn) func(*Options) {
	t.Helper()
	coherence, err := coherence.NewRedis(conn, coherence.RedisOptions{Settle: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	store, err := cache.New(cache.Options{
		KeyTTL: time.Minute, StoresTTL: time.Minute, Bytes: 1 << 20, EntryBytes: 1 << 16, GrantTTL: time.Minute, WriteLease: time.Minute, Coherence: coherence,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) {
		o.Cache = store
		o.Limiter = ratelimit.NewTurns(ratelimit.TurnsOptions{Limiter: ratelimit.NewFailover(ratelimit.FailoverOptions{
			Primary: ratelimit.NewRedis(conn), Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}),
		})})
	}
}
