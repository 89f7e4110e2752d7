package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// asking is the number of reads of Redis for one call of trips.
const asking = 2

// onRedis makes a rig count quotas and store generations in Redis, as a gateway does.
func onRedis(t *testing.T, s *redistest.Server) func(*Options) {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
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
		o.Limiter = ratelimit.NewTurns(ratelimit.TurnsOptions{Limiter: ratelimit.NewRedis(conn)})
	}
}

// trips returns how often Redis has read a socket. The query itself adds two reads: its
// command and its end.
func trips(t *testing.T, s *redistest.Server) (n int) {
	t.Helper()
	for line := range strings.Lines(s.Do("INFO", "stats")) {
		if _, err := fmt.Sscanf(line, "total_reads_processed:%d", &n); err == nil {
			return n
		}
	}
	t.Fatal("Redis does not say how often it has read")
	return 0
}

// TestAReadWaitsForRedisOnceAndAWriteTwice checks invariant 3: quota and generations
// travel together, and a write's quota comes before its mark.
func TestAReadWaitsForRedisOnceAndAWriteTwice(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"gcra":   func(*Options) {},
		"window": func(o *Options) { window(o) },
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			g := newRig(t, onRedis(t, s), change)
			g.get("one", keyPath) // loads the scripts
			g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}"))
			for _, tt := range []struct {
				what  string
				do    func() int
				trips int
			}{
				{"a miss", func() int { return g.get("one", storePath).Code }, 1},
				{"a hit", func() int { return g.get("one", storePath).Code }, 1},
				{"a read that is never cached", func() int { return g.get("one", storePath+"/partitions/p").Code }, 1},
				{"a write", func() int { return g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}")).Code }, 2},
			} {
				before := trips(t, s)
				if code := tt.do(); code != 200 {
					t.Fatalf("%s: %d", tt.what, code)
				}
				if got := trips(t, s) - before - asking; got != tt.trips {
					t.Errorf("%s: Redis was asked %d times, want %d", tt.what, got, tt.trips)
				}
			}
		})
	}
}

// TestARefusalIsRememberedWithoutRedis checks that a client that is known to be over
// quota causes no call to Redis.
func TestARefusalIsRememberedWithoutRedis(t *testing.T) {
	s := redistest.Start(t)
	g := newRig(t, onRedis(t, s), func(o *Options) {
		o.Quota = func(string) ratelimit.Quota { return ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1} }
	})
	if w := g.get("one", keyPath); w.Code != 200 {
		t.Fatal(w.Code)
	}
	before := trips(t, s)
	for range 10 {
		if w := g.get("one", keyPath); w.Code != 429 {
			t.Fatal(w.Code)
		}
	}
	if got := trips(t, s) - before - asking; got != 0 {
		t.Errorf("ten refusals cost Redis %d questions", got)
	}
}

// window changes the algorithm of the quotas to exact windows.
func window(o *Options) {
	quota := o.Quota
	o.Quota = func(principal string) ratelimit.Quota {
		q := quota(principal)
		q.Algorithm = ratelimit.AlgorithmWindow
		return q
	}
}
