package ratelimit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// replica contains the limiters of one gateway process.
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
	for _, turns := range []*ratelimit.Turns{replica(t, s, patience), replica(t, s, patience)} {
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
	if took, want := time.Since(start), 700*time.Millisecond; took < want-time.Millisecond {
		t.Errorf("%d served within %v, want %v", served.Load(), took, want)
	}
}

func TestClientThatHammersCostsRedisItsTurnsAlone(t *testing.T) {
	s := redistest.Start(t)
	turns := replica(t, s, 100*time.Millisecond)
	q, key := ratelimit.Quota{Rate: 10, Period: 50 * time.Second, Burst: 5}, freshKey()
	takeTurn(t, turns, freshKey(), q) // loads the script
	before := calls(t, s)
	var served, refused atomic.Int64
	var clients sync.WaitGroup
	start := time.Now()
	for range 20 {
		clients.Go(func() {
			for refused.Load() < 10_000 && time.Since(start) < patience {
				if r, _ := takeTurn(t, turns, key, q); r.Allowed {
					served.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	clients.Wait()
	// All clients may call Redis at once whenever no client waits: at the start, and
	// after a unit was served. The refusals, a hundred times as many, cost Redis no
	// call.
	if n, most := calls(t, s)-before, 20*(int(served.Load())+1); n > most || refused.Load() < 10_000 {
		t.Errorf("%d calls of Redis for %d units and %d refusals, want at most %d", n, served.Load(), refused.Load(), most)
	}
	if most := 5 + int64(time.Since(start)/(5*time.Second)) + 1; served.Load() > most {
		t.Errorf("%d served within %v, want at most %d", served.Load(), time.Since(start), most)
	}
}

// TestFiftyAtOnceAreAllServedByTwoReplicas sends fifty requests: ten are served at once
// and forty at ten a second.
func TestFiftyAtOnceAreAllServedByTwoReplicas(t *testing.T) {
	t.Parallel()
	s, start := redistest.Start(t), time.Now()
	var clients sync.WaitGroup
	for name, q := range both(tenASecond) {
		key := freshKey()
		for _, turns := range []*ratelimit.Turns{replica(t, s, patience), replica(t, s, patience)} {
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
	if took := time.Since(start); took < 4*time.Second-time.Millisecond {
		t.Errorf("all served within %v, want 4s", took)
	}
}

// TestTurnThatComesJustInTimeIsServed uses the default wait of a second: the eleventh
// to the twentieth request of a window of ten wait for all of that second, and for some
// answers of Redis.
func TestTurnThatComesJustInTimeIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, key := both(tenASecond)["window"], freshKey()
		turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: time.Second, Limiter: distant{ratelimit.NewLocal(ratelimit.LocalOptions{})}})
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
				if waited > 50*time.Millisecond {
					t.Errorf("refused after %v, want at once", waited)
				}
			})
		}
		clients.Wait()
		if served.Load() != 20 || refused.Load() != 10 {
			t.Errorf("%d served and %d refused, want 20 and 10", served.Load(), refused.Load())
		}
	})
}

// TestReplicasOfADistantLimiterServeAllInTime is the strict form of the two tests
// above: it uses fake time and a limiter whose answers take exactly one round trip. No
// request is served before its turn, and answers delay the last one by at most the
// stated number of round trips: with a burst the delays do not add up, in a window they
// add up once each period, and without a burst once each turn.
func TestReplicasOfADistantLimiterServeAllInTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		quota ratelimit.Quota
		turn  time.Duration // of the 50th request
		trips int           // by which answers may delay that turn
	}{
		"gcra":   {both(tenASecond)["gcra"], 4 * time.Second, 2},
		"window": {both(tenASecond)["window"], 4 * time.Second, 4 * 4},
		"spaced": {ratelimit.Quota{Rate: 50, Period: time.Second, Burst: 1}, 49 * 20 * time.Millisecond, 50},
	} {
		synctest.Test(t, func(t *testing.T) {
			limiter := distant{ratelimit.NewLocal(ratelimit.LocalOptions{})}
			var clients sync.WaitGroup
			start := time.Now()
			for range 2 {
				turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: 5 * time.Second, Limiter: limiter})
				for range 25 {
					clients.Go(func() {
						if r, waited := takeTurn(t, turns, "k", tt.quota); !r.Allowed {
							t.Errorf("%s: %+v after %v, want allowed", name, r, waited)
						}
					})
				}
			}
			clients.Wait()
			if took, late := time.Since(start), time.Duration(tt.trips)*roundTrip; took < tt.turn || took > tt.turn+late {
				t.Errorf("%s: all served after %v, want %v and at most %v later", name, took, tt.turn, late)
			}
		})
	}
}

// roundTrip is the time that a distant limiter takes to answer.
const roundTrip = 2 * time.Millisecond

// distant is a limiter whose answers take a round trip, as those of Redis do.
type distant struct{ ratelimit.Limiter }

func (d distant) Take(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
	<-time.After(roundTrip / 2)
	r, err := d.Limiter.Take(ctx, key, q)
	<-time.After(roundTrip / 2)
	return r, err
}
