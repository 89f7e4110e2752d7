package ratelimit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

func TestAClientThatFailsTooOftenIsBlockedUntilTheNextUnit(t *testing.T) {
	for name, wait := range map[string]time.Duration{"gcra": 100 * time.Millisecond, "window": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failures := ratelimit.NewFailures(ratelimit.NewLocal(ratelimit.LocalOptions{}), both(tenASecond)[name])
				for i := range 10 {
					if d := failures.Blocked("guesser"); d != 0 {
						t.Fatalf("blocked for %v after %d failures", d, i)
					}
					failures.Failed(t.Context(), "guesser")
				}
				if d := failures.Blocked("guesser"); d != wait {
					t.Errorf("after ten failures blocked for %v, want %v", d, wait)
				}
				if d := failures.Blocked("other"); d != 0 {
					t.Errorf("another key is blocked for %v", d)
				}
				failures.Failed(t.Context(), "guesser") // a request that was admitted before
				if d := failures.Blocked("guesser"); d != wait+100*time.Millisecond {
					t.Errorf("after a failure more blocked for %v, want %v and the time of a unit", d, wait)
				}
				<-time.After(wait + 100*time.Millisecond)
				if d := failures.Blocked("guesser"); d != 0 {
					t.Errorf("still blocked for %v when there is a unit again", d)
				}
			})
		})
	}
}

func TestEachReplicaLearnsOfABlockAtItsNextFailure(t *testing.T) {
	s := redistest.Start(t)
	for name, q := range both(ratelimit.Quota{Rate: 4, Period: time.Hour, Burst: 4}) {
		t.Run(name, func(t *testing.T) {
			one := ratelimit.NewFailures(ratelimit.NewRedis(openRedis(t, s)), q)
			two := ratelimit.NewFailures(ratelimit.NewRedis(openRedis(t, s)), q)
			key := freshKey()
			for range 2 {
				one.Failed(t.Context(), key)
				two.Failed(t.Context(), key)
			}
			if a, b := one.Blocked(key), two.Blocked(key); a != 0 || b <= 0 {
				t.Errorf("blocked for %v and %v, want the end that includes the last failure", a, b)
			}
			one.Failed(t.Context(), key)
			if one.Blocked(key) <= 0 {
				t.Error("not blocked after a failure more")
			}
			one.Failed(t.Context(), freshKey())
			if d := one.Blocked(freshKey()); d != 0 {
				t.Errorf("another key is blocked for %v", d)
			}
		})
	}
}

func TestFailuresOfClientsThatLeftCount(t *testing.T) {
	limiter := limiterFunc(func(ctx context.Context, _ string, _ ratelimit.Quota) (ratelimit.Result, error) {
		return ratelimit.Result{RetryAfter: time.Hour}, ctx.Err()
	})
	failures := ratelimit.NewFailures(limiter, tenASecond)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	failures.Failed(ctx, "k")
	if failures.Blocked("k") <= 0 {
		t.Error("not blocked")
	}
}

func TestWithoutARateOrALimiterThatDecidesNoClientIsBlocked(t *testing.T) {
	refusing := limiterFunc(func(context.Context, string, ratelimit.Quota) (ratelimit.Result, error) {
		return ratelimit.Result{RetryAfter: time.Hour}, nil
	})
	undecided := limiterFunc(func(context.Context, string, ratelimit.Quota) (ratelimit.Result, error) {
		return ratelimit.Result{RetryAfter: time.Hour}, errLost
	})
	for name, failures := range map[string]*ratelimit.Failures{
		"no rate":             ratelimit.NewFailures(refusing, ratelimit.Quota{Period: time.Second, Burst: 1}),
		"nobody who can tell": ratelimit.NewFailures(undecided, tenASecond),
	} {
		failures.Failed(t.Context(), "k")
		if d := failures.Blocked("k"); d != 0 {
			t.Errorf("%s: blocked for %v", name, d)
		}
	}
}

// Requests that were all admitted before the first failure may all fail at once. They
// count later: in the long run ten failures a second are allowed, plus those that were
// admitted at once each time.
func TestFailuresAtOnceArePaidForLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := ratelimit.NewFailures(ratelimit.NewLocal(ratelimit.LocalOptions{}), both(tenASecond)["gcra"])
		began, failed := time.Now(), 0
		for time.Since(began) < time.Minute {
			if d := failures.Blocked("guesser"); d > 0 {
				<-time.After(d)
			}
			for range 100 {
				failures.Failed(t.Context(), "guesser")
				failed++
			}
		}
		if most := 10*60 + 10*(failed/100) + 200; failed > most {
			t.Errorf("%d failures in a minute, want at most %d", failed, most)
		}
		for range 100_000 {
			failures.Failed(t.Context(), "guesser")
		}
		if d := failures.Blocked("guesser"); d > 5*time.Minute {
			t.Errorf("blocked for %v, want five minutes at most", d)
		}
	})
}
