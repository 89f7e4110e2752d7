package redisconn_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// BenchmarkGroup compares a group with a connection for each round trip: a script that
// counts, as a limiter's, on a Redis nearby and on one that is 1 ms away each way.
// cpu-µs/op is the time of this process, the callers included.
//
//	go test -run '^$' -bench Group -benchtime 5000x -count 5 ./internal/redisconn
func BenchmarkGroup(b *testing.B) {
	for _, delay := range []time.Duration{0, time.Millisecond} {
		for _, callers := range []int{1, 16, 128} {
			for _, group := range []bool{false, true} {
				b.Run(fmt.Sprintf("delay=%v/callers=%d/group=%v", delay, callers, group), func(b *testing.B) {
					s := redistest.Start(b)
					url := s.URL()
					if delay > 0 {
						w := redistest.NewWire(b, s)
						w.Lengthen(delay)
						url = w.URL()
					}
					c, err := redisconn.Open(redisconn.Options{URL: url, Timeout: patience, Group: group})
					if err != nil {
						b.Fatal(err)
					}
					defer c.Close()
					benchmarkTrips(b, c, callers)
				})
			}
		}
	}
}

func benchmarkTrips(b *testing.B, c *redisconn.Conn, callers int) {
	b.Helper()
	script := redis.NewScript(`return { redis.call("INCR", KEYS[1]), "a text" }`)
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	call := func(n int) {
		start := time.Now()
		key := fmt.Sprint(n % 1000)
		if err := script.Run(b.Context(), c.Scripter(), []string{key}, n, "argument").Err(); err != nil {
			b.Error(err)
		}
		if n < len(took) {
			took[n] = time.Since(start)
		}
	}
	atOnce := func(n int) {
		next.Store(0)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					call(i)
				}
			})
		}
		all.Wait()
	}
	atOnce(4 * callers) // connects, and loads the script
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	atOnce(b.N)
	b.StopTimer()
	used := processorTime(b) - before
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
}

// processorTime returns the processor time that this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
