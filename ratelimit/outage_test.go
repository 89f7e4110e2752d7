package ratelimit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// TestRedisTroubleCostsNoRequestItsDecision makes Redis fail in several ways while
// clients send requests without a pause. No client gets an error or waits until the
// failure has ended. Decisions are marked as degraded, and Redis makes them again when
// it is back.
func TestRedisTroubleCostsNoRequestItsDecision(t *testing.T) {
	const timeout = time.Second // a busy machine must not look like a failure of Redis
	troubles := map[string]struct{ lose, back func(*redistest.Server) }{
		"refused":    {(*redistest.Server).Stop, (*redistest.Server).Restart},
		"black hole": {(*redistest.Server).Pause, (*redistest.Server).Resume},
		"read-only": {
			func(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			func(s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") },
		},
	}
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: timeout})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			crowd := startCrowd(t, ratelimit.NewFailover(ratelimit.FailoverOptions{
				Primary: ratelimit.NewRedis(conn), Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}),
			}))
			defer crowd.stop()

			crowd.await(t, false)
			trouble.lose(s)
			crowd.await(t, true)
			trouble.back(s)
			crowd.await(t, false)
		})
	}
}

// TestEachLossAndEachReturnOfRedisCostsAtMostOneMoreBurst counts the units of a client
// that has spent a part of its burst when Redis is lost, and that takes all it can get
// without Redis and after its return. No unit becomes available meanwhile: the period
// of the quota is an hour.
func TestEachLossAndEachReturnOfRedisCostsAtMostOneMoreBurst(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lose, back     func(*redistest.Server)
		without, after int
	}{
		"restarted without its data": {(*redistest.Server).Stop, (*redistest.Server).Restart, 5, 5},
		"read-only for a while": {
			func(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			func(s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") },
			5, 5 - 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for algorithm, q := range both(ratelimit.Quota{Rate: 5, Period: time.Hour, Burst: 5}) {
				s := redistest.Start(t)
				l := ratelimit.NewFailover(ratelimit.FailoverOptions{
					Primary: ratelimit.NewRedis(openRedis(t, s)), Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}),
				})
				key := freshKey()
				for range 3 {
					if r := take(t, l, key, q); !r.Allowed || r.Degraded {
						t.Fatalf("%s: %+v, want allowed by Redis", algorithm, r)
					}
				}
				tt.lose(s)
				without := spendAll(t, l, key, q, true)
				tt.back(s)
				after := spendAll(t, l, key, q, false)
				if without != tt.without || after != tt.after {
					t.Errorf("%s: %d more without Redis and %d after, want %d and %d", algorithm, without, after, tt.without, tt.after)
				}
			}
		})
	}
}

// spendAll takes units until the limiter refuses one with the given value of Degraded,
// and returns the number of units admitted.
func spendAll(t *testing.T, l ratelimit.Limiter, key string, q ratelimit.Quota, degraded bool) (n int) {
	t.Helper()
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-pause.C {
		r := take(t, l, key, q)
		if r.Allowed {
			n++
		} else if r.Degraded == degraded {
			return n
		}
	}
	t.Fatalf("no refusal with degraded=%v within %v", degraded, patience)
	return n
}

// crowd is a few clients that call a limiter without a pause.
type crowd struct {
	degraded atomic.Int64 // 1 if the latest decision was degraded, 0 otherwise
	quit     chan struct{}
	stop     func() // stops the clients and waits for them
}

func startCrowd(t *testing.T, l ratelimit.Limiter) *crowd {
	t.Helper()
	c := &crowd{quit: make(chan struct{})}
	var clients sync.WaitGroup
	c.stop = sync.OnceFunc(func() {
		close(c.quit)
		clients.Wait()
	})
	for range 4 {
		clients.Go(func() { c.ask(t, l, freshKey()) })
	}
	return c
}

func (c *crowd) ask(t *testing.T, l ratelimit.Limiter, key string) {
	t.Helper()
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		// The quota is so large that it never runs out: for a key known to be over
		// quota, Redis would not be called.
		r := take(t, l, key, ratelimit.Quota{Rate: 1_000_000, Period: time.Second, Burst: 1_000_000})
		if r.Degraded {
			c.degraded.Store(1)
		} else {
			c.degraded.Store(0)
		}
		select {
		case <-c.quit:
			return
		case <-pause.C:
		}
	}
}

// await waits until decisions have been degraded, or not degraded, for a while.
func (c *crowd) await(t *testing.T, degraded bool) {
	t.Helper()
	want := int64(0)
	if degraded {
		want = 1
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	end := time.After(patience)
	for seen := 0; seen < 10; {
		select {
		case <-look.C:
			if seen++; c.degraded.Load() != want {
				seen = 0
			}
		case <-end:
			t.Fatalf("decisions did not become degraded=%v within %v", degraded, patience)
		}
	}
}
