package ratelimit_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/ratelimit"
)

// plenty never runs out, so that every decision is made anew.
var plenty = ratelimit.Quota{Rate: 1_000_000, Period: time.Second, Burst: 1_000_000}

func BenchmarkLocalTake(b *testing.B) {
	benchmarkTake(b, ratelimit.NewLocal(ratelimit.LocalOptions{}), plenty)
}

func BenchmarkRedisTake(b *testing.B) {
	benchmarkTake(b, ratelimit.NewRedis(openRedis(b, redistest.Start(b))), plenty)
}

// BenchmarkRedisTakeOverQuota is what a client that hammers costs: nothing in Redis.
func BenchmarkRedisTakeOverQuota(b *testing.B) {
	benchmarkTake(b, ratelimit.NewRedis(openRedis(b, redistest.Start(b))), ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 1})
}

// BenchmarkStackTake is the whole stack of a gateway with Redis.
func BenchmarkStackTake(b *testing.B) {
	benchmarkTake(b, turnsLimiter{ratelimit.NewTurns(ratelimit.TurnsOptions{
		MaxWait: time.Second,
		Limiter: ratelimit.NewFailover(ratelimit.FailoverOptions{
			Primary:  ratelimit.NewRedis(openRedis(b, redistest.Start(b))),
			Fallback: ratelimit.NewLocal(ratelimit.LocalOptions{}),
		}),
	})}, plenty)
}

// benchmarkTake measures l with 1, 16 and 128 callers at once, each going
// through 1,000 keys, and reports the median and the 99th percentile of a call.
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
