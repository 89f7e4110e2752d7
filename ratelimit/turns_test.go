package ratelimit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/ratelimit"
)

// counted is a limiter that counts its calls.
type counted struct {
	ratelimit.Limiter
	asked atomic.Int64
}

func (c *counted) Take(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
	c.asked.Add(1)
	return c.Limiter.Take(ctx, key, q)
}

// newTurns returns a Turns over a new local limiter, and that limiter.
func newTurns(o ratelimit.TurnsOptions) (*ratelimit.Turns, *counted) {
	l := &counted{Limiter: ratelimit.NewLocal(ratelimit.LocalOptions{})}
	o.Limiter = l
	return ratelimit.NewTurns(o), l
}

// takeTurn takes a unit, after waiting if necessary, and fails the test on an error.
func takeTurn(t testing.TB, turns *ratelimit.Turns, key string, q ratelimit.Quota) (ratelimit.Result, time.Duration) {
	t.Helper()
	r, waited, err := turns.Take(t.Context(), key, q)
	if err != nil {
		t.Errorf("Take: %v", err)
	}
	return r, waited
}

func TestLoopAsFastAsItCanSeesTheRateAndNoRefusal(t *testing.T) {
	for _, burst := range []int{1, 10} {
		synctest.Test(t, func(t *testing.T) {
			turns, l := newTurns(ratelimit.TurnsOptions{MaxWait: time.Second})
			q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: burst}
			served, start := 0, time.Now()
			for time.Since(start) < 10*time.Second {
				r, waited := takeTurn(t, turns, "k", q)
				if !r.Allowed || waited > 100*time.Millisecond {
					t.Fatalf("unit %d: %+v after %v", served, r, waited)
				}
				served++
			}
			// 100 turns in ten seconds, of which the last comes at their end, and the
			// burst before.
			if want := 100 + burst; served != want {
				t.Errorf("burst %d: %d served within 10s, want %d", burst, served, want)
			}
			if asked := l.asked.Load(); asked > int64(2*served) {
				t.Errorf("burst %d: the limiter received %d calls for %d units", burst, asked, served)
			}
		})
	}
}

func TestFiftyAtOnceAreAllServedByOneOrMoreProcesses(t *testing.T) {
	for processes := 1; processes <= 3; processes++ {
		synctest.Test(t, func(t *testing.T) {
			l := ratelimit.NewLocal(ratelimit.LocalOptions{})
			start := time.Now()
			var clients sync.WaitGroup
			for range processes {
				turns := ratelimit.NewTurns(ratelimit.TurnsOptions{Limiter: l, MaxWait: 8 * time.Second})
				for range 50 / processes {
					clients.Go(func() {
						if r, waited := takeTurn(t, turns, "k", tenASecond); !r.Allowed {
							t.Errorf("with %d processes: %+v after %v", processes, r, waited)
						}
					})
				}
			}
			clients.Wait()
			want := time.Duration(50/processes*processes-10) * 100 * time.Millisecond
			if took := time.Since(start); took != want {
				t.Errorf("with %d processes: all served after %v, want %v", processes, took, want)
			}
		})
	}
}

func TestWaitersAreServedInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, _ := newTurns(ratelimit.TurnsOptions{MaxWait: time.Minute})
		var mu sync.Mutex
		var order, want []int
		var clients sync.WaitGroup
		for i := range 100 {
			clients.Go(func() {
				if r, _ := takeTurn(t, turns, "k", tenASecond); r.Allowed {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
				}
			})
			want = append(want, i)
			<-time.After(time.Millisecond)
		}
		clients.Wait()
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("order of service (-want +got):\n%s", diff)
		}
	})
}

func TestWaitingCostsOneQuestionForEachTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, l := newTurns(ratelimit.TurnsOptions{MaxWait: time.Second})
		var clients sync.WaitGroup
		var served, refused atomic.Int64
		// 5,000 requests a second for ten seconds.
		for start := time.Now(); time.Since(start) < 10*time.Second; <-time.After(200 * time.Microsecond) {
			clients.Go(func() {
				if r, _ := takeTurn(t, turns, "k", tenASecond); r.Allowed {
					served.Add(1)
				} else {
					refused.Add(1)
				}
			})
			synctest.Wait()
		}
		clients.Wait()
		if n := served.Load(); n < 110 || n > 120 { // the burst, ten seconds, and the queue at the end
			t.Errorf("%d served, want about 120", n)
		}
		if asked := l.asked.Load(); asked > served.Load()+2 {
			t.Errorf("the limiter received %d calls for %d units and %d refusals", asked, served.Load(), refused.Load())
		}
	})
}

func TestARequestWhoseTurnIsTooLateIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, l := newTurns(ratelimit.TurnsOptions{MaxWait: 300 * time.Millisecond})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "k", q)
		var clients sync.WaitGroup
		for want := 1; want <= 3; want++ {
			clients.Go(func() {
				if r, waited := takeTurn(t, turns, "k", q); !r.Allowed || waited != time.Duration(want)*100*time.Millisecond {
					t.Errorf("waiter %d: %+v after %v", want, r, waited)
				}
			})
			synctest.Wait()
		}
		asked := l.asked.Load()
		r, waited := takeTurn(t, turns, "k", q)
		if r.Allowed || waited != 0 || r.Limit != 10 || r.RetryAfter != 400*time.Millisecond || r.ResetAfter != 400*time.Millisecond {
			t.Errorf("the fourth: %+v after %v, want refused at once, with its turn in 400ms", r, waited)
		}
		if l.asked.Load() != asked {
			t.Error("the limiter received a call for a request whose turn is known to come too late")
		}
		clients.Wait()
	})
}

func TestSlowQuotaIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, _ := newTurns(ratelimit.TurnsOptions{MaxWait: time.Second})
		q := ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1}
		takeTurn(t, turns, "k", q)
		if r, waited := takeTurn(t, turns, "k", q); r.Allowed || waited != 0 || r.RetryAfter != time.Hour {
			t.Errorf("%+v after %v, want refused at once with an hour to wait", r, waited)
		}
	})
}

func TestWaitersThatAnotherProcessOvertakesAreRefusedAsSoonAsItIsCertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := ratelimit.NewLocal(ratelimit.LocalOptions{}), time.Now()
		var overtaken atomic.Bool
		turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: 350 * time.Millisecond, Limiter: limiterFunc(
			func(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
				if time.Since(start) == 100*time.Millisecond && overtaken.CompareAndSwap(false, true) {
					take(t, l, key, q) // the other process
				}
				return l.Take(ctx, key, q)
			})})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "k", q)
		var clients sync.WaitGroup
		// The turn at 100 ms goes to the other process. From then on it is certain that
		// the turn of the third request comes at 400 ms, which is too late.
		for i, want := range []struct {
			allowed bool
			after   time.Duration
		}{{true, 200 * time.Millisecond}, {true, 300 * time.Millisecond}, {false, 100 * time.Millisecond}} {
			clients.Go(func() {
				if r, waited := takeTurn(t, turns, "k", q); r.Allowed != want.allowed || waited != want.after {
					t.Errorf("waiter %d: %+v after %v, want allowed %v after %v", i, r, waited, want.allowed, want.after)
				}
			})
			synctest.Wait()
		}
		clients.Wait()
	})
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, _ := newTurns(ratelimit.TurnsOptions{MaxWait: time.Minute})
		q := ratelimit.Quota{Rate: 1, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "busy", q)
		go takeTurn(t, turns, "busy", q)
		synctest.Wait()
		if r, waited := takeTurn(t, turns, "idle", q); !r.Allowed || waited != 0 {
			t.Errorf("%+v after %v, want allowed at once", r, waited)
		}
		<-time.After(time.Second)
	})
}

func TestWithoutMaxWaitNoRequestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, _ := newTurns(ratelimit.TurnsOptions{})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "k", q)
		if r, waited := takeTurn(t, turns, "k", q); r.Allowed || waited != 0 || r.RetryAfter != 100*time.Millisecond {
			t.Errorf("%+v after %v, want refused at once", r, waited)
		}
	})
}

func TestTurnsPassOnWhatTheFallbackDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: 300 * time.Millisecond, Limiter: ratelimit.NewFailover(
			ratelimit.FailoverOptions{Primary: lost, Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}), Replicas: 2})})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		for i := range 3 {
			if r, waited := takeTurn(t, turns, "k", q); !r.Allowed || !r.Degraded || i > 0 && waited != 200*time.Millisecond {
				t.Errorf("unit %d: %+v after %v, want a degraded one each 200ms", i, r, waited)
			}
		}
	})
}

// turnsLimiter makes a limiter of a Turns.
type turnsLimiter struct{ *ratelimit.Turns }

func (l turnsLimiter) Take(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
	r, _, err := l.Turns.Take(ctx, key, q)
	return r, err
}
