package ratelimit_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLimitersKeepTheContract runs one suite against every limiter that counts.
func TestLimitersKeepTheContract(t *testing.T) {
	for name, test := range contract {
		t.Run("local/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, ratelimit.NewLocal(ratelimit.LocalOptions{})) })
		})
	}
	server := redistest.Start(t)
	for name, test := range contract {
		t.Run("redis/"+name, func(t *testing.T) { test(t, ratelimit.NewRedis(openRedis(t, server))) })
	}
}

// contract is what [ratelimit.Limiter] and [ratelimit.Result] promise. The tests
// wait in real time for Redis, so that intervals are either too long to pass or
// short enough to wait for.
//
//nolint:thelper // these are tests and no helpers: a failure is in the line that says so
var contract = map[string]func(*testing.T, ratelimit.Limiter){
	"a burst is counted down to a refusal": func(t *testing.T, l ratelimit.Limiter) {
		q, key := ratelimit.Quota{Rate: 10, Period: 100 * time.Second, Burst: 10}, freshKey()
		for remaining := 9; remaining >= 0; remaining-- {
			r := take(t, l, key, q)
			if !r.Allowed || r.Limit != 10 || r.Remaining != remaining || r.Degraded {
				t.Fatalf("%+v, want allowed, limit 10, remaining %d", r, remaining)
			}
			if used := time.Duration(10-remaining) * 10 * time.Second; !justBelow(r.ResetAfter, used) {
				t.Errorf("with %d remaining: reset after %v, want %v", remaining, r.ResetAfter, used)
			}
			if last := remaining == 0; (r.RetryAfter != 0) != last || last && !justBelow(r.RetryAfter, 10*time.Second) {
				t.Errorf("with %d remaining: retry after %v", remaining, r.RetryAfter)
			}
		}
		for range 3 {
			r := take(t, l, key, q)
			if r.Allowed || r.Limit != 10 || r.Remaining != 0 || !justBelow(r.RetryAfter, 10*time.Second) || !justBelow(r.ResetAfter, 100*time.Second) {
				t.Errorf("over quota: %+v, want refused, retry after 10s, reset after 100s", r)
			}
		}
	},
	"waiting RetryAfter is enough": func(t *testing.T, l ratelimit.Limiter) {
		for _, q := range []ratelimit.Quota{
			{Rate: 100, Period: time.Second, Burst: 1},
			{Rate: 50, Period: time.Second, Burst: 4},
			{Rate: 70, Period: time.Second, Burst: 2},
		} {
			key := freshKey()
			var r ratelimit.Result
			for r.Allowed = true; r.Allowed; {
				r = take(t, l, key, q)
			}
			for range 10 {
				<-time.After(r.RetryAfter)
				if r = take(t, l, key, q); !r.Allowed {
					t.Errorf("%+v: after waiting for RetryAfter: %+v", q, r)
				}
			}
		}
	},
	"refusals spend nothing": func(t *testing.T, l ratelimit.Limiter) {
		q, key := ratelimit.Quota{Rate: 4, Period: time.Second, Burst: 1}, freshKey()
		first := take(t, l, key, q)
		for range 100 {
			if r := take(t, l, key, q); r.RetryAfter > first.RetryAfter {
				t.Fatalf("a refusal moved the next unit from %v to %v", first.RetryAfter, r.RetryAfter)
			}
		}
		<-time.After(first.RetryAfter)
		if r := take(t, l, key, q); !r.Allowed {
			t.Errorf("after 100 refusals and RetryAfter: %+v", r)
		}
	},
	"keys do not touch each other": func(t *testing.T, l ratelimit.Limiter) {
		q := ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1}
		for range 100 {
			if r := take(t, l, freshKey(), q); !r.Allowed {
				t.Fatalf("a fresh key: %+v", r)
			}
		}
	},
	"no more than burst and rate whoever asks": func(t *testing.T, l ratelimit.Limiter) {
		q, key := ratelimit.Quota{Rate: 100, Period: time.Second, Burst: 7}, freshKey()
		var admitted atomic.Int64
		var clients sync.WaitGroup
		start := time.Now()
		for range 8 {
			clients.Go(func() {
				for time.Since(start) < 300*time.Millisecond {
					if take(t, l, key, q).Allowed {
						admitted.Add(1)
					}
					<-time.After(time.Millisecond)
				}
			})
		}
		clients.Wait()
		most := 7 + int64(time.Since(start)/(10*time.Millisecond)) + 1
		if n := admitted.Load(); n > most || n < most/2 {
			t.Errorf("%d admitted within %v, want about %d and no more", n, time.Since(start), most)
		}
	},
	"a rate of zero is no limit": func(t *testing.T, l ratelimit.Limiter) {
		key := freshKey()
		for range 100 {
			if r := take(t, l, key, ratelimit.Quota{Period: time.Hour, Burst: 1}); r != (ratelimit.Result{Allowed: true}) {
				t.Fatalf("%+v, want allowed without a limit", r)
			}
		}
	},
	"a quota without period and burst is evenly spaced by the second": func(t *testing.T, l ratelimit.Limiter) {
		r := take(t, l, freshKey(), ratelimit.Quota{Rate: 2})
		if !r.Allowed || r.Remaining != 0 || !justBelow(r.RetryAfter, 500*time.Millisecond) {
			t.Errorf("%+v, want allowed, none remaining, retry after 500ms", r)
		}
	},
	"rates that do not divide the period count right": func(t *testing.T, l ratelimit.Limiter) {
		for _, rate := range []int{3, 7, 9, 11, 13, 97} {
			q, key := ratelimit.Quota{Rate: rate, Period: time.Duration(rate) * 100 * time.Second / 7, Burst: rate}, freshKey()
			for remaining := rate - 1; remaining >= 0; remaining-- {
				if r := take(t, l, key, q); !r.Allowed || r.Remaining != remaining {
					t.Fatalf("rate %d: %+v, want allowed and %d remaining", rate, r, remaining)
				}
			}
			if r := take(t, l, key, q); r.Allowed {
				t.Errorf("rate %d: allowed beyond the burst", rate)
			}
		}
	},
}

// take takes a unit and fails the test where that cannot be decided.
func take(t testing.TB, l ratelimit.Limiter, key string, q ratelimit.Quota) ratelimit.Result {
	t.Helper()
	r, err := l.Take(t.Context(), key, q)
	if err != nil {
		t.Errorf("Take: %v", err)
	}
	return r
}

// justBelow reports whether d is want or, since time passes between a decision and
// the test, a little less. Redis's doubles and rounding up add a few microseconds.
func justBelow(d, want time.Duration) bool {
	return d <= want+5*time.Microsecond && d > want-min(want/2, 2*time.Second)
}

// freshKey returns a key that nobody else uses.
func freshKey() string {
	return ratelimit.Key("test", strconv.FormatUint(rand.Uint64(), 16))
}

// openRedis opens a connection that is closed when the test ends.
func openRedis(t testing.TB, s *redistest.Server) *redisconn.Conn {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: redisTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// redisTimeout is generous: what is measured here is not Redis's speed.
const redisTimeout = 2 * time.Second
