//go:build soak

package e2e

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// requestsFlag is the total number of counted requests.
var requestsFlag = flag.Int("requests", 1_000_000, "total number of counted requests")

// TestMillionRequestsAreCountedExactly is TestCountsAreExactDuringRedisFailures at
// length and without pauses, half of it on each form of Redis.
func TestMillionRequestsAreCountedExactly(t *testing.T) {
	const atOnce = 50_000 // osemu's log has room for all of them
	for _, form := range slices.Sorted(maps.Keys(redisForms)) {
		t.Run(form, func(t *testing.T) {
			s := newCountingRun(t, redisForms[form](t))
			began := time.Now()
			names := slices.Sorted(maps.Keys(disturbances))
			for sent := 0; sent < *requestsFlag/len(redisForms); sent += atOnce {
				wait := s.clients.start(4, atOnce, s.gateways...)
				for s.clients.remaining.Load() > 0 {
					s.disturb(names[rand.IntN(len(names))])
					pause(time.Duration(rand.Int64N(int64(2 * flushTime))))
				}
				wait()
				s.awaitRecovery()
				s.collect()
			}
			s.checkCounts()
			s.clients.checkAllAnswered(t)
			t.Logf("%d requests in %v", *requestsFlag/len(redisForms), time.Since(began).Round(time.Second))
		})
	}
}
