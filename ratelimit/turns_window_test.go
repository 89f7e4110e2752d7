package ratelimit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
)

var tenInAnySecond = ratelimit.Quota{Rate: 10, Period: time.Second, Algorithm: ratelimit.AlgorithmWindow}

func TestTwoWindowsFullAtOnceAreServedAndTheRestRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, _ := newTurns(ratelimit.TurnsOptions{MaxWait: time.Second})
		var clients sync.WaitGroup
		for i := range 25 {
			clients.Go(func() {
				r, waited := takeTurn(t, turns, "k", tenInAnySecond)
				want := time.Duration(0)
				if i >= 10 && i < 20 {
					want = time.Second
				}
				if r.Allowed != (i < 20) || waited != want {
					t.Errorf("number %d: %+v after %v, want allowed %v after %v", i, r, waited, i < 20, want)
				}
				if i >= 20 && r.RetryAfter != 2*time.Second {
					t.Errorf("number %d: %+v, want its turn in 2s", i, r)
				}
			})
			synctest.Wait()
		}
		clients.Wait()
	})
}

// TestNeverMoreThanTheRateInAnyPeriodThroughTurns uses clients that send requests in a
// loop without a pause.
func TestNeverMoreThanTheRateInAnyPeriodThroughTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, _ := newTurns(ratelimit.TurnsOptions{MaxWait: time.Second})
		var mu sync.Mutex
		var admitted []time.Time
		var clients sync.WaitGroup
		start := time.Now()
		for range 5 {
			clients.Go(func() {
				for time.Since(start) < 10*time.Second {
					r, waited := takeTurn(t, turns, "k", tenInAnySecond)
					if !r.Allowed {
						t.Errorf("%+v after %v, want no refusal", r, waited)
					}
					mu.Lock()
					admitted = append(admitted, time.Now())
					mu.Unlock()
					<-time.After(30 * time.Millisecond)
				}
			})
		}
		clients.Wait()
		if n := len(admitted); n < 100 || n > 110 {
			t.Errorf("%d admitted in 10s, want 100 and at most the next 10", n)
		}
		for i := 10; i < len(admitted); i++ {
			if apart := admitted[i].Sub(admitted[i-10]); apart < time.Second {
				t.Fatalf("units %d to %d within %v", i-10, i, apart)
			}
		}
	})
}

// TestUnitsThatAreLeftServeTheQueueAtOnce has a head of the queue that calls the
// limiter late. It finds more units than its own, and the requests behind it get them.
func TestUnitsThatAreLeftServeTheQueueAtOnce(t *testing.T) {
	for name, q := range both(ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 10}) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				local := ratelimit.NewLocal(ratelimit.LocalOptions{})
				held := make(chan struct{}) // the head's call waits until this is closed
				var asked atomic.Int64
				turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: 1500 * time.Millisecond, Limiter: limiterFunc(
					func(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
						if asked.Add(1) == 12 {
							<-held
						}
						return local.Take(ctx, key, q)
					})})
				for range 10 {
					takeTurn(t, turns, "k", q)
				}
				var clients sync.WaitGroup
				for range 5 {
					clients.Go(func() {
						if r, waited := takeTurn(t, turns, "k", q); !r.Allowed || waited != 1450*time.Millisecond {
							t.Errorf("%+v after %v, want all served when the head is", r, waited)
						}
					})
					synctest.Wait()
				}
				<-time.After(1450 * time.Millisecond)
				close(held)
				clients.Wait()
			})
		})
	}
}

func TestABoundOfOnesOwnCountsInsteadOfMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, l := newTurns(ratelimit.TurnsOptions{MaxWait: time.Minute})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "k", q)
		within := func(d time.Duration) (bool, time.Duration) {
			r, waited, err := turns.TakeWithin(t.Context(), "k", q, d)
			if err != nil || r.Allowed != (r.RetryAfter <= 100*time.Millisecond && r.Limit == 10 && waited > 0) {
				t.Errorf("within %v: %+v after %v, %v", d, r, waited, err)
			}
			return r.Allowed, waited
		}
		go takeTurn(t, turns, "k", q) // the turn in 100 ms
		synctest.Wait()
		asked := l.asked.Load()
		for _, d := range []time.Duration{-1, 0, 199 * time.Millisecond} {
			if allowed, waited := within(d); allowed || waited != 0 || l.asked.Load() != asked {
				t.Errorf("within %v: allowed %v after %v, with %d calls; want a refusal at once, without a call",
					d, allowed, waited, l.asked.Load()-asked)
			}
		}
		if allowed, waited := within(200 * time.Millisecond); !allowed || waited != 200*time.Millisecond {
			t.Errorf("within 200ms: allowed %v after %v, want the second turn", allowed, waited)
		}
	})
}
