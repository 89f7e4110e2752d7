package ratelimit_test

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// The table in docs/adr/0016-choose-gcra-or-window.md contains results of
//
//	go test -run '^$' -bench 'GCRA|Window' -benchtime 1s ./ratelimit

// plenty never runs out, so that the limiter makes each decision itself and returns
// none from memory.
var plenty = ratelimit.Quota{Rate: 1_000_000, Period: time.Second, Burst: 1_000_000}

// plentyOfWindow is the same as plenty, with a window. It is enough for 1,000 keys and
// 1,000,000 units a second in Redis, with about 50 instants in each log.
var plentyOfWindow = ratelimit.Quota{Rate: ratelimit.MaxWindowRate, Period: time.Second, Algorithm: ratelimit.AlgorithmWindow}

// plentyOfLocalWindow is enough for the ten million units a second that a limiter in
// the process takes.
var plentyOfLocalWindow = ratelimit.Quota{Rate: ratelimit.MaxWindowRate, Period: time.Millisecond, Algorithm: ratelimit.AlgorithmWindow}

func BenchmarkLocalGCRA(b *testing.B) {
	benchmarkTake(b, ratelimit.NewLocal(ratelimit.LocalOptions{}), plenty)
}

func BenchmarkLocalWindow(b *testing.B) {
	benchmarkTake(b, ratelimit.NewLocal(ratelimit.LocalOptions{}), plentyOfLocalWindow)
}

func BenchmarkRedisGCRA(b *testing.B) {
	benchmarkTake(b, ratelimit.NewRedis(openRedis(b, redistest.Start(b))), plenty)
}

func BenchmarkRedisWindow(b *testing.B) {
	benchmarkTake(b, ratelimit.NewRedis(openRedis(b, redistest.Start(b))), plentyOfWindow)
}

// BenchmarkRedisOverQuota measures a client that is over quota and sends requests
// without a pause. It costs Redis no work.
func BenchmarkRedisOverQuota(b *testing.B) {
	benchmarkTake(b, ratelimit.NewRedis(openRedis(b, redistest.Start(b))), ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1})
}

// BenchmarkStackGCRA measures all limiters of a gateway with Redis together.
func BenchmarkStackGCRA(b *testing.B) { benchmarkTake(b, stack(b), plenty) }

// BenchmarkStackWindow measures the same with a window.
func BenchmarkStackWindow(b *testing.B) { benchmarkTake(b, stack(b), plentyOfWindow) }

func stack(b *testing.B) ratelimit.Limiter {
	b.Helper()
	return turnsLimiter{ratelimit.NewTurns(ratelimit.TurnsOptions{
		MaxWait: time.Second,
		Limiter: ratelimit.NewFailover(ratelimit.FailoverOptions{
			Primary:  ratelimit.NewRedis(openRedis(b, redistest.Start(b))),
			Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}),
		}),
	})}
}

// BenchmarkPausesWait measures what a request costs while other keys are paused.
func BenchmarkPausesWait(b *testing.B) {
	pauses, ctx := ratelimit.NewPauses(ratelimit.PausesOptions{}), b.Context()
	pauses.Pause(freshKey(), time.Hour, time.Second)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for key := freshKey(); pb.Next(); {
			_, _, _ = pauses.Wait(ctx, key, time.Second)
		}
	})
}

// BenchmarkFailuresBlocked measures what a request costs because of the failures of
// other clients: while no client is blocked, and while one is.
func BenchmarkFailuresBlocked(b *testing.B) {
	for name, failed := range map[string]bool{"nobody is": false, "somebody is": true} {
		b.Run(name, func(b *testing.B) {
			failures := ratelimit.NewFailures(ratelimit.NewLocal(ratelimit.LocalOptions{}), ratelimit.Quota{Rate: 1, Period: time.Hour})
			if failed {
				failures.Failed(b.Context(), "guesser")
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = failures.Blocked("198.51.100.7")
			}
		})
	}
}

// BenchmarkRedisCost measures the time that Redis spends on a Take, as Redis reports
// it. The log of a window holds at most as many instants as its rate:
//
//	go test -run '^$' -bench RedisCost -benchtime 50000x ./ratelimit
func BenchmarkRedisCost(b *testing.B) {
	for _, q := range []ratelimit.Quota{plenty, window(10), window(100), window(1000)} {
		b.Run(fmt.Sprintf("%s-%d", cmp.Or(q.Algorithm, ratelimit.AlgorithmGCRA), q.Rate), func(b *testing.B) {
			s := redistest.Start(b)
			l := ratelimit.NewRedis(openRedis(b, s))
			keys := make([]string, 10)
			for i := range keys {
				keys[i] = freshKey()
			}
			for i := range 10 * min(q.Rate, ratelimit.MaxWindowRate) { // fills the logs
				take(b, l, keys[i%len(keys)], q)
			}
			s.Do("CONFIG", "RESETSTAT")
			for i := 0; b.Loop(); i++ {
				take(b, l, keys[i%len(keys)], q)
			}
			b.StopTimer()
			var calls, usec float64
			for line := range strings.Lines(s.Do("INFO", "commandstats")) {
				if _, err := fmt.Sscanf(line, "cmdstat_evalsha:calls=%f,usec=%f,", &calls, &usec); err == nil {
					b.ReportMetric(usec/calls, "redis-us/op")
					b.ReportMetric(calls/float64(b.N), "calls/op")
				}
			}
			b.ReportMetric(float64(strlen(s)), "bytes")
		})
	}
}

// window is a quota of which 10 callers, who take 10,000 units a second in all, use
// nearly all units.
func window(rate int) ratelimit.Quota {
	return ratelimit.Quota{Rate: rate, Period: time.Duration(rate) * 400 * time.Microsecond, Algorithm: ratelimit.AlgorithmWindow}
}

// strlen returns the length of a value in Redis.
func strlen(s *redistest.Server) int {
	n, _ := strconv.Atoi(s.Do("STRLEN", s.Do("RANDOMKEY")))
	return n
}

// benchmarkTake measures l with 1, 16 and 128 concurrent callers, each of which uses
// 1,000 keys in turn. It reports the median and the 99th percentile of the duration of
// a call.
func benchmarkTake(b *testing.B, l ratelimit.Limiter, q ratelimit.Quota) {
	b.Helper()
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = freshKey()
	}
	for _, concurrent := range []int{1, 16, 128} {
		b.Run(fmt.Sprint(concurrent), func(b *testing.B) {
			b.ReportAllocs()
			var mu sync.Mutex
			var all []time.Duration
			measure := func(next func() bool) {
				var took []time.Duration
				for i := 0; next(); i++ {
					start := time.Now()
					take(b, l, keys[i%len(keys)], q)
					took = append(took, time.Since(start))
				}
				mu.Lock()
				all = append(all, took...)
				mu.Unlock()
			}
			if concurrent == 1 {
				measure(b.Loop)
			} else {
				b.SetParallelism(max(concurrent/runtime.GOMAXPROCS(0), 1))
				b.RunParallel(func(pb *testing.PB) { measure(pb.Next) })
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-ns")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
