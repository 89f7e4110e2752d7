package ratelimit_test

import (
	"context"
	"maps"
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

// TestLimitersKeepTheContract runs one test suite against every limiter that counts,
// with every algorithm.
func TestLimitersKeepTheContract(t *testing.T) {
	server := redistest.Start(t)
	for algorithm, own := range contracts {
		suite := maps.Clone(own)
		maps.Copy(suite, contract)
		for name, test := range suite {
			name = string(algorithm) + "/" + name
			t.Run("local/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, ratelimit.NewLocal(ratelimit.LocalOptions{}), algorithm) })
			})
			t.Run("redis/"+name, func(t *testing.T) {
				t.Parallel()
				test(t, ratelimit.NewRedis(openRedis(t, server)), algorithm)
			})
			t.Run("two replicas/"+name, func(t *testing.T) {
				t.Parallel()
				test(t, &alternating{limiters: [2]ratelimit.Limiter{
					ratelimit.NewRedis(openRedis(t, server)), ratelimit.NewRedis(openRedis(t, server)),
				}}, algorithm)
			})
		}
	}
}

// alternating calls two limiters in turn, as a load balancer does.
type alternating struct {
	limiters [2]ratelimit.Limiter
	asked    atomic.Uint64
}

func (a *alternating) Take(ctx context.Context, key string, q ratelimit.Quota) (ratelimit.Result, error) {
	return a.limiters[a.asked.Add(1)%2].Take(ctx, key, q)
}

// promise tests a part of a contract. The tests with Redis wait in real time, so an
// interval is either too long to pass during a test or short enough to wait for.
type promise func(*testing.T, ratelimit.Limiter, ratelimit.Algorithm)

// contract contains the promises of [ratelimit.Limiter] and [ratelimit.Result] for all
// algorithms.
//
//nolint:thelper // these are tests and no helpers: a failure is reported at the line that failed
var contract = map[string]promise{
	"waiting RetryAfter is enough": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
		for _, q := range []ratelimit.Quota{
			{Rate: 1, Period: 10 * time.Millisecond, Burst: 1},
			{Rate: 4, Period: 80 * time.Millisecond, Burst: 4},
			{Rate: 7, Period: 100 * time.Millisecond, Burst: 2},
		} {
			q.Algorithm = algorithm
			h := &hearsay{Limiter: l, key: freshKey(), q: q}
			r := h.take(t)
			for range 6 {
				for r.Allowed {
					r = h.take(t)
				}
				h.wait()
				if r = h.take(t); !r.Allowed {
					t.Errorf("%+v: after waiting for RetryAfter: %+v", q, r)
				}
			}
		}
	},
	"refusals spend nothing": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
		h := &hearsay{Limiter: l, key: freshKey(), q: ratelimit.Quota{Rate: 2, Period: time.Hour, Burst: 1, Algorithm: algorithm}}
		first := h.take(t)
		for first.Allowed {
			first = h.take(t)
		}
		for range 100 {
			r := h.take(t)
			if r.Allowed || r.RetryAfter > first.RetryAfter+h.slack() || r.ResetAfter > first.ResetAfter+h.slack() {
				t.Fatalf("a refusal moved the next unit from %+v to %+v", first, r)
			}
		}
	},
	"after MoreAfter there is one more": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
		q, key := ratelimit.Quota{Rate: 4, Period: 200 * time.Millisecond, Burst: 4, Algorithm: algorithm}, freshKey()
		for _, pause := range []time.Duration{0, 10 * time.Millisecond, 30 * time.Millisecond} {
			take(t, l, key, q)
			<-time.After(pause)
			r := take(t, l, key, q)
			if r.MoreAfter <= 0 || r.MoreAfter > r.ResetAfter+5*time.Microsecond {
				t.Errorf("%+v, want more after some time, and all no sooner", r)
			}
			<-time.After(r.MoreAfter)
			if next := take(t, l, key, q); !next.Allowed || next.Remaining < r.Remaining {
				t.Errorf("%v after %+v: %+v, want one more before it was taken", r.MoreAfter, r, next)
			}
			<-time.After(q.Period)
		}
	},
	"keys do not touch each other": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
		q := ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1, Algorithm: algorithm}
		for range 100 {
			if r := take(t, l, freshKey(), q); !r.Allowed {
				t.Fatalf("a fresh key: %+v", r)
			}
		}
	},
	"algorithms do not touch each other": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
		q, key := ratelimit.Quota{Rate: 3, Period: time.Hour, Burst: 3, Algorithm: algorithm}, freshKey()
		exhaust(t, l, key, q)
		q.Algorithm = map[ratelimit.Algorithm]ratelimit.Algorithm{
			ratelimit.AlgorithmGCRA: ratelimit.AlgorithmWindow, ratelimit.AlgorithmWindow: ratelimit.AlgorithmGCRA,
		}[algorithm]
		if r := take(t, l, key, q); !r.Allowed || r.Remaining != 2 {
			t.Errorf("%+v, want allowed and 2 remaining of an untouched quota", r)
		}
	},
	"no more than promised whoever asks": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
		q, key := ratelimit.Quota{Rate: 10, Period: 100 * time.Millisecond, Burst: 7, Algorithm: algorithm}, freshKey()
		var admitted atomic.Int64
		var clients sync.WaitGroup
		start := time.Now()
		for range 8 {
			clients.Go(func() {
				for time.Since(start) < 300*time.Millisecond || admitted.Load() < 20 && time.Since(start) < patience {
					if take(t, l, key, q).Allowed {
						admitted.Add(1)
					}
					<-time.After(time.Millisecond)
				}
			})
		}
		clients.Wait()
		most := 7 + int64(time.Since(start)/(10*time.Millisecond)) + 1
		if algorithm == ratelimit.AlgorithmWindow {
			most = 10 * (int64(time.Since(start)/q.Period) + 1)
		}
		if n := admitted.Load(); n > most || n < 20 {
			t.Errorf("%d admitted within %v, want 20 at least and no more than %d", n, time.Since(start), most)
		}
	},
	"a rate of zero is no limit": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
		key := freshKey()
		for range 100 {
			r := take(t, l, key, ratelimit.Quota{Period: time.Hour, Burst: 1, Algorithm: algorithm})
			if r != (ratelimit.Result{Allowed: true}) {
				t.Fatalf("%+v, want allowed without a limit", r)
			}
		}
	},
	"rates that do not divide the period count right": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
		for _, rate := range []int{3, 7, 9, 11, 13, 97} {
			key := freshKey()
			q := ratelimit.Quota{Rate: rate, Period: time.Duration(rate) * 1000 * time.Second / 7, Burst: rate, Algorithm: algorithm}
			for remaining := rate - 1; remaining >= 0; remaining-- {
				if r := take(t, l, key, q); !r.Allowed || r.Limit != rate || r.Remaining != remaining {
					t.Fatalf("rate %d: %+v, want allowed and %d remaining", rate, r, remaining)
				}
			}
			if r := take(t, l, key, q); r.Allowed {
				t.Errorf("rate %d: allowed beyond the burst", rate)
			}
		}
	},
}

// contracts contains the further promises of each algorithm.
//
//nolint:thelper // as above
var contracts = map[ratelimit.Algorithm]map[string]promise{
	ratelimit.AlgorithmGCRA: {
		"a burst is counted down to a refusal": func(t *testing.T, l ratelimit.Limiter, _ ratelimit.Algorithm) {
			q, key, start := ratelimit.Quota{Rate: 10, Period: 1000 * time.Second, Burst: 10}, freshKey(), time.Now()
			for remaining := 9; remaining >= 0; remaining-- {
				r := take(t, l, key, q)
				if !r.Allowed || r.Limit != 10 || r.Remaining != remaining || r.Degraded {
					t.Fatalf("%+v, want allowed, limit 10, remaining %d", r, remaining)
				}
				if used := time.Duration(10-remaining) * 100 * time.Second; !justBelow(r.ResetAfter, used, start) {
					t.Errorf("with %d remaining: reset after %v, want %v", remaining, r.ResetAfter, used)
				}
				if !justBelow(r.MoreAfter, 100*time.Second, start) {
					t.Errorf("with %d remaining: more after %v", remaining, r.MoreAfter)
				}
				if last := remaining == 0; (r.RetryAfter != 0) != last || last && !justBelow(r.RetryAfter, 100*time.Second, start) {
					t.Errorf("with %d remaining: retry after %v", remaining, r.RetryAfter)
				}
			}
			for range 3 {
				r := take(t, l, key, q)
				if r.Allowed || r.Limit != 10 || r.Remaining != 0 || !justBelow(r.RetryAfter, 100*time.Second, start) || !justBelow(r.ResetAfter, 1000*time.Second, start) {
					t.Errorf("over quota: %+v, want refused, retry after 100s, reset after 1000s", r)
				}
			}
		},
		"a quota without period and burst is evenly spaced by the second": func(t *testing.T, l ratelimit.Limiter, _ ratelimit.Algorithm) {
			start := time.Now()
			r := take(t, l, freshKey(), ratelimit.Quota{Rate: 2})
			if !r.Allowed || r.Remaining != 0 || !justBelow(r.RetryAfter, 500*time.Millisecond, start) {
				t.Errorf("%+v, want allowed, none remaining, retry after 500ms", r)
			}
		},
		"an unknown algorithm is this one": func(t *testing.T, l ratelimit.Limiter, _ ratelimit.Algorithm) {
			key := freshKey()
			exhaust(t, l, key, ratelimit.Quota{Rate: 1, Period: time.Hour, Algorithm: ratelimit.AlgorithmGCRA})
			if r := take(t, l, key, ratelimit.Quota{Rate: 1, Period: time.Hour, Algorithm: "leaky"}); r.Allowed {
				t.Errorf("%+v, want what gcra counted to be seen", r)
			}
		},
	},
	ratelimit.AlgorithmWindow: {
		"a window is counted down to a refusal": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
			// The window algorithm ignores Burst.
			q, key, start := ratelimit.Quota{Rate: 10, Period: 1000 * time.Second, Burst: 2, Algorithm: algorithm}, freshKey(), time.Now()
			for remaining := 9; remaining >= 0; remaining-- {
				r := take(t, l, key, q)
				if !r.Allowed || r.Limit != 10 || r.Remaining != remaining || r.Degraded || r.ResetAfter != q.Period {
					t.Fatalf("%+v, want allowed, limit 10, remaining %d, reset after %v", r, remaining, q.Period)
				}
				if last := remaining == 0; (r.RetryAfter != 0) != last || last && !justBelow(r.RetryAfter, q.Period, start) {
					t.Errorf("with %d remaining: retry after %v", remaining, r.RetryAfter)
				}
			}
			for range 3 {
				r := take(t, l, key, q)
				if r.Allowed || r.Limit != 10 || r.Remaining != 0 || !justBelow(r.RetryAfter, q.Period, start) || !justBelow(r.ResetAfter, q.Period, start) {
					t.Errorf("over quota: %+v, want refused until the window has passed", r)
				}
			}
		},
		"units come back one by one, each a period after it was taken": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
			h := &hearsay{Limiter: l, key: freshKey(), q: ratelimit.Quota{Rate: 3, Period: 300 * time.Millisecond, Algorithm: algorithm}}
			var taken [9]time.Time // the latest time at which each unit was taken
			back := func(i int, start time.Time) time.Duration { return taken[i].Add(h.q.Period).Sub(start) + h.slack() }
			for i := range taken {
				if i > 0 {
					<-time.After(90 * time.Millisecond)
				}
				start := time.Now()
				r := h.take(t)
				for ; !r.Allowed; r = h.take(t) { // the unit taken three before this one is 270 ms old
					if i < 3 || r.RetryAfter > back(i-3, start) {
						t.Fatalf("unit %d: %+v", i, r)
					}
					<-time.After(r.RetryAfter)
					start = time.Now()
				}
				taken[i] = time.Now()
				if i >= 2 && ((r.RetryAfter > 0) != (r.Remaining == 0) || r.RetryAfter > max(0, back(i-2, start)) || r.ResetAfter != h.q.Period) {
					t.Errorf("unit %d: %+v, want the next within %v", i, r, back(i-2, start))
				}
			}
		},
		"more is there when the oldest unit has left": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
			const apart = 300 * time.Millisecond
			q, key, start := ratelimit.Quota{Rate: 10, Period: time.Hour, Algorithm: algorithm}, freshKey(), time.Now()
			for remaining := 9; remaining >= 7; remaining-- {
				r := take(t, l, key, q)
				since := time.Duration(9-remaining) * apart
				if r.Remaining != remaining || r.ResetAfter != q.Period || !justBelow(r.MoreAfter, q.Period, start) || r.MoreAfter > q.Period-since+20*time.Millisecond {
					t.Errorf("%v after the first: %+v", since, r)
				}
				<-time.After(apart)
			}
		},
		"a quota without period is by the second": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
			r := take(t, l, freshKey(), ratelimit.Quota{Rate: 2, Algorithm: algorithm})
			if !r.Allowed || r.Remaining != 1 || r.ResetAfter != time.Second {
				t.Errorf("%+v, want allowed, 1 remaining, reset after 1s", r)
			}
		},
		"rates are bounded": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
			q, key := ratelimit.Quota{Rate: 5000, Period: time.Hour, Algorithm: algorithm}, freshKey()
			for i := range ratelimit.MaxWindowRate {
				if r := take(t, l, key, q); !r.Allowed || r.Limit != ratelimit.MaxWindowRate || r.Remaining != ratelimit.MaxWindowRate-1-i {
					t.Fatalf("unit %d: %+v", i, r)
				}
			}
			if r := take(t, l, key, q); r.Allowed {
				t.Errorf("beyond the largest rate: %+v", r)
			}
		},
		"another rate looks at the same units": func(t *testing.T, l ratelimit.Limiter, algorithm ratelimit.Algorithm) {
			q, key := ratelimit.Quota{Rate: 10, Period: time.Hour, Algorithm: algorithm}, freshKey()
			for range 4 {
				take(t, l, key, q)
			}
			<-time.After(300 * time.Millisecond)
			lastButOne := time.Now()
			take(t, l, key, q)
			take(t, l, key, q)
			q.Rate = 2
			if r := take(t, l, key, q); r.Allowed || r.Remaining != 0 || !justBelow(r.RetryAfter, time.Hour, lastButOne) {
				t.Errorf("a lower rate: %+v, want refused until the last but one has left", r)
			}
			q.Rate = 20
			if r := take(t, l, key, q); !r.Allowed || r.Remaining != 13 {
				t.Errorf("a higher rate: %+v, want allowed, 13 remaining", r)
			}
		},
	},
}

// exhaust takes all units that are left and returns the refusal.
func exhaust(t testing.TB, l ratelimit.Limiter, key string, q ratelimit.Quota) ratelimit.Result {
	t.Helper()
	r := take(t, l, key, q)
	for r.Allowed {
		r = take(t, l, key, q)
	}
	return r
}

// take takes a unit, and fails the test on an error.
func take(t testing.TB, l ratelimit.Limiter, key string, q ratelimit.Quota) ratelimit.Result {
	t.Helper()
	r, err := l.Take(t.Context(), key, q)
	if err != nil {
		t.Errorf("Take: %v", err)
	}
	return r
}

// justBelow reports whether d equals want or, because time passes between decisions, is
// less by at most the time since start. Redis uses doubles and rounds up, which adds a
// few microseconds, and it reads its clock a little earlier.
func justBelow(d, want time.Duration, start time.Time) bool {
	return d <= want+5*time.Microsecond && d >= want-time.Since(start)-20*time.Millisecond
}

// freshKey returns a key that no other test uses.
func freshKey() string {
	return ratelimit.Key("test", strconv.FormatUint(rand.Uint64(), 16))
}

// openRedis opens a connection and closes it when the test ends.
func openRedis(t testing.TB, s *redistest.Server) *redisconn.Conn {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: redisTimeout, Group: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// patience is how long a test waits for anything. It ends a test that hangs, and is
// long enough for a machine that is busy with other work.
const patience = time.Minute

// redisTimeout is long, because these tests do not measure the speed of Redis.
const redisTimeout = patience
