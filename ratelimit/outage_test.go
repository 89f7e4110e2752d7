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

// TestRedisTroubleCostsNoRequestItsDecision puts Redis through what happens to it
// while clients ask without pause: nobody gets an error or waits until the trouble is
// over, decisions are marked as degraded, and are Redis's again when it is back.
func TestRedisTroubleCostsNoRequestItsDecision(t *testing.T) {
	const timeout = time.Second // a machine that is busy is no trouble with Redis
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

func TestRestartCostsNoDecisionAndAtMostOneMoreBurst(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: redisTimeout})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l := ratelimit.NewFailover(ratelimit.FailoverOptions{
		Primary: ratelimit.NewRedis(conn), Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}),
	})
	q, key := ratelimit.Quota{Rate: 20, Period: time.Second, Burst: 5}, freshKey()
	admitted, start := 0, time.Now()
	ask := func(until time.Duration) {
		for time.Since(start) < until {
			if take(t, l, key, q).Allowed {
				admitted++
			}
			<-time.After(time.Millisecond)
		}
	}
	ask(200 * time.Millisecond)
	s.Restart()
	ask(time.Second)
	// The burst, one more for Redis lost and one more for Redis found again.
	if most := 3*5 + int(time.Since(start)*20/time.Second) + 1; admitted > most {
		t.Errorf("%d admitted within %v, want at most %d", admitted, time.Since(start), most)
	}
}

// crowd is a few clients that ask a limiter without pause.
type crowd struct {
	degraded atomic.Int64 // 1 if the latest decision was, else 0
	quit     chan struct{}
	stop     func() // ends the clients and waits for them
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
		// So large that it never runs out: a key known to be over quota asks nobody.
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

// await waits until decisions are degraded, or are not, for a while.
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
