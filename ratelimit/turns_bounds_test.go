package ratelimit_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
)

func TestQueuesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, _ := newTurns(ratelimit.TurnsOptions{MaxWait: time.Hour, MaxWaitersPerKey: 3, MaxWaiters: 5})
		var clients sync.WaitGroup
		ask := func(key string) (refused bool) {
			ended := make(chan ratelimit.Result, 1)
			clients.Go(func() {
				r, _ := takeTurn(t, turns, key, tenASecond)
				ended <- r
			})
			synctest.Wait()
			select {
			case r := <-ended:
				return !r.Allowed
			default:
				return false
			}
		}
		for _, key := range []string{"a", "b"} {
			for range 10 {
				ask(key)
			}
		}
		for i, step := range []struct {
			key     string
			refused bool
		}{{"a", false}, {"a", false}, {"a", false}, {"a", true}, {"b", false}, {"b", false}, {"b", true}} {
			if refused := ask(step.key); refused != step.refused {
				t.Errorf("step %d, key %s: refused %v, want %v", i, step.key, refused, step.refused)
			}
		}
		clients.Wait()
		// The places in the queue are free again.
		<-time.After(time.Second)
		for i := range 14 {
			if refused := ask("a"); refused != (i == 13) {
				t.Errorf("afterwards, %d: refused %v", i, refused)
			}
		}
		clients.Wait()
	})
}

func TestAClientThatLeavesGivesUpItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, l := newTurns(ratelimit.TurnsOptions{MaxWait: time.Minute})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "k", q)
		leave := func(ctx context.Context) (ended chan error) {
			ended = make(chan error, 1)
			go func() {
				_, _, err := turns.Take(ctx, "k", q)
				ended <- err
			}()
			synctest.Wait()
			return ended
		}
		headCtx, headLeaves := context.WithCancel(t.Context())
		nextCtx, nextLeaves := context.WithCancel(t.Context())
		head, next, last := leave(headCtx), leave(nextCtx), leave(t.Context())
		asked, start := l.asked.Load(), time.Now()
		nextLeaves()
		headLeaves()
		if err := <-next; !errors.Is(err, context.Canceled) {
			t.Errorf("the second: %v, want context.Canceled", err)
		}
		if err := <-head; !errors.Is(err, context.Canceled) {
			t.Errorf("the head: %v, want context.Canceled", err)
		}
		if err := <-last; err != nil || time.Since(start) != 100*time.Millisecond {
			t.Errorf("the last: %v after %v, want the first turn, after 100ms", err, time.Since(start))
		}
		if n := l.asked.Load() - asked; n != 1 {
			t.Errorf("the limiter received %d calls, want one, of the remaining caller", n)
		}
	})
}

func TestLateAnswersOfTheLimiterDoNotChangeTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := ratelimit.NewLocal(ratelimit.LocalOptions{})
		var slow atomic.Bool // the next call takes 10 ms to answer
		turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: time.Minute, Limiter: limiterFunc(
			func(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
				defer func(pause bool) {
					if pause {
						<-time.After(10 * time.Millisecond)
					}
				}(slow.Swap(false))
				return local.Take(ctx, key, q)
			})})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "k", q)
		slow.Store(true)
		order := make(chan string, 3)
		for _, name := range []string{"slow", "head", "third"} {
			go func() {
				takeTurn(t, turns, "k", q)
				order <- name
			}()
			synctest.Wait()
		}
		// The second was refused first and is the head of the queue; the first comes
		// before the third.
		if a, b, c := <-order, <-order, <-order; a != "head" || b != "slow" || c != "third" {
			t.Errorf("served: %s, %s, %s; want head, slow, third", a, b, c)
		}
	})
}

// graceOfMaxWait is how much longer than MaxWait, a second, a request may wait if its
// turn was to come within MaxWait.
const graceOfMaxWait = 100 * time.Millisecond

func TestAHeadThatIsHeldUpDelaysNoRequestBeyondMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := ratelimit.NewLocal(ratelimit.LocalOptions{})
		var stuck atomic.Bool
		turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: time.Second, Limiter: limiterFunc(
			func(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
				if stuck.Load() {
					<-time.After(time.Minute)
				}
				return local.Take(ctx, key, q)
			})})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "k", q)
		go takeTurn(t, turns, "k", q)
		synctest.Wait()
		stuck.Store(true)
		if r, waited := takeTurn(t, turns, "k", q); r.Allowed || waited != time.Second+graceOfMaxWait || r.RetryAfter <= 0 {
			t.Errorf("behind a head that is held up: %+v after %v, want refused after 1.1s", r, waited)
		}
		<-time.After(time.Minute)
	})
}

func TestErrorsOfTheLimiterEndTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan struct{})
		local := ratelimit.NewLocal(ratelimit.LocalOptions{})
		turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: time.Minute, Limiter: limiterFunc(
			func(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
				select {
				case <-gone:
					return ratelimit.Result{}, errLost
				default:
					return local.Take(ctx, key, q)
				}
			})})
		q := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 1}
		takeTurn(t, turns, "k", q)
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() {
				if _, waited, err := turns.Take(t.Context(), "k", q); !errors.Is(err, errLost) || waited != 100*time.Millisecond {
					t.Errorf("%v after %v, want the limiter's error after 100ms", err, waited)
				}
			})
			synctest.Wait()
		}
		close(gone)
		clients.Wait()
	})
}

func TestALimiterThatNeverAdmitsDelaysNoRequestBeyondMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := ratelimit.NewTurns(ratelimit.TurnsOptions{MaxWait: time.Second, Limiter: limiterFunc(
			func(context.Context, string, ratelimit.Quota) (ratelimit.Result, error) {
				return ratelimit.Result{Limit: 10}, nil
			})})
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() {
				if r, waited := takeTurn(t, turns, "k", tenASecond); r.Allowed || waited > time.Second+graceOfMaxWait || r.RetryAfter <= 0 {
					t.Errorf("%+v after %v, want refused within 1.1s", r, waited)
				}
			})
		}
		clients.Wait()
	})
}
