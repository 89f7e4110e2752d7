package coherence

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"osgate/internal/redisconn/redistest"
)

// BenchmarkRead compares reads by the script with reads that callers share: three
// resources of one store, of which the first differs. redis-µs/op is processor time of
// Redis.
//
//	go test -run '^$' -bench Read -benchtime 20000x ./cache/coherence
func BenchmarkRead(b *testing.B) {
	for _, callers := range []int{2, 16, 64} {
		for _, joint := range []bool{false, true} {
			b.Run(fmt.Sprintf("callers=%d/joint=%v", callers, joint), func(b *testing.B) {
				s := redistest.Start(b)
				c := gateway(b, s)
				if !joint {
					c.scriptsUntil.Store(math.MaxInt64)
				}
				var all [100]Resources
				for i := range all {
					all[i] = Of(resource(0).list[0], resource(1).list[0], resource(2 + i).list[0])
					for n := range all[i].list {
						all[i].list[n].Slot = 0
					}
					read(b, c, all[i])
				}
				b.ReportAllocs()
				b.SetParallelism(callers / 2)
				before := redisTime(s)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for n := 0; pb.Next(); n++ {
						if _, err := c.Read(b.Context(), all[n%len(all)]); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric((redisTime(s)-before)*1e6/float64(b.N), "redis-µs/op")
			})
		}
	}
}

// redisTime returns the processor time that Redis has used, in seconds.
func redisTime(s *redistest.Server) (sum float64) {
	for line := range strings.Lines(s.Do("INFO", "cpu")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			seconds, _ := strconv.ParseFloat(value, 64)
			sum += seconds
		}
	}
	return sum
}
