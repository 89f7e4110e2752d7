package ratelimit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// replica is what each gateway process has.
func replica(t *testing.T, s *redistest.Server, maxWait time.Duration) *ratelimit.Turns {
	t.Helper()
	return ratelimit.NewTurns(ratelimit.TurnsOptions{
		MaxWait: maxWait,
		Limiter: ratelimit.NewFailover(ratelimit.FailoverOptions{
			Primary:  ratelimit.NewRedis(openRedis(t, s)),
			Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}),
			Replicas: 2,
		}),
	})
}

func TestTwoReplicasServeOneClientAtItsRate(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	q, key := ratelimit.Quota{Rate: 50, Period: time.Second, Burst: 5}, freshKey()
	var served atomic.Int64
	var clients sync.WaitGroup
	start := time.Now()
	for _, turns := range []*ratelimit.Turns{replica(t, s, 10*time.Second), replica(t, s, 10*time.Second)} {
		for range 20 {
			clients.Go(func() {
				if r, waited := takeTurn(t, turns, key, q); !r.Allowed || r.Degraded {
					t.Errorf("%+v after %v, want allowed by Redis", r, waited)
				}
				served.Add(1)
			})
		}
	}
	clients.Wait()
	// 5 at once and 35 turns of 20 ms, by Redis's clock.
	if took, want := time.Since(start), 700*time.Millisecond; took < want-time.Millisecond || took > 5*want {
		t.Errorf("%d served within %v, want %v", served.Load(), took, want)
	}
}

func TestClientThatHammersCostsRedisItsTurnsAlone(t *testing.T) {
	s := redistest.Start(t)
	turns := replica(t, s, 100*time.Millisecond)
	q, key := ratelimit.Quota{Rate: 50, Period: time.Second, Burst: 5}, freshKey()
	takeTurn(t, turns, freshKey(), q) // loads the script
	before := calls(t, s)
	var served, refused atomic.Int64
	var clients sync.WaitGroup
	start := time.Now()
	for range 20 {
		clients.Go(func() {
			for time.Since(start) < 500*time.Millisecond {
				if r, _ := takeTurn(t, turns, key, q); r.Allowed {
					served.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	clients.Wait()
	// All clients may ask at once whenever nobody waits: at the start, and after the
	// machine has held everybody up. What is refused, a thousand times as much, is free.
	if n, most := calls(t, s)-before, 5*int(served.Load())+20; n > most {
		t.Errorf("%d calls of Redis for %d units and %d refusals, want at most %d", n, served.Load(), refused.Load(), most)
	}
	if most := 5 + int64(time.Since(start)/(20*time.Millisecond)) + 1; served.Load() > most {
		t.Errorf("%d served within %v, want at most %d", served.Load(), time.Since(start), most)
	}
}

// TestFiftyAtOnceAreAllServedByTwoReplicas: ten at once and forty at ten a second.
func TestFiftyAtOnceAreAllServedByTwoReplicas(t *testing.T) {
	t.Parallel()
	s, start := redistest.Start(t), time.Now()
	var clients sync.WaitGroup
	for name, q := range both(tenASecond) {
		key := freshKey()
		for _, turns := range []*ratelimit.Turns{replica(t, s, 8*time.Second), replica(t, s, 8*time.Second)} {
			for range 25 {
				clients.Go(func() {
					if r, waited := takeTurn(t, turns, key, q); !r.Allowed || r.Degraded {
						t.Errorf("%s: %+v after %v, want allowed by Redis", name, r, waited)
					}
				})
			}
		}
	}
	clients.Wait()
	if took := time.Since(start); took < 4*time.Second-time.Millisecond || took > 6*time.Second {
		t.Errorf("all served within %v, want 4s", took)
	}
}

// TestTurnThatComesJustInTimeIsServed: with the default wait of a second, the eleventh
// to the twentieth of a window of ten wait for all of it, and some answers of Redis.
func TestTurnThatComesJustInTimeIsServed(t *testing.T) {
	t.Parallel()
	q, key := both(tenASecond)["window"], freshKey()
	turns := replica(t, redistest.Start(t), time.Second)
	var served, refused atomic.Int64
	var clients sync.WaitGroup
	for range 30 {
		clients.Go(func() {
			r, waited := takeTurn(t, turns, key, q)
			if r.Allowed {
				served.Add(1)
				return
			}
			refused.Add(1)
			if waited > 500*time.Millisecond {
				t.Errorf("refused after %v, want at once", waited)
			}
		})
	}
	clients.Wait()
	if served.Load() != 20 || refused.Load() != 10 {
		t.Errorf("%d served and %d refused, want 20 and 10", served.Load(), refused.Load())
	}
}
