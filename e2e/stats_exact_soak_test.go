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

// requestsFlag is how many requests are counted in all.
var requestsFlag = flag.Int("requests", 1_000_000, "how many requests are counted")

// TestAMillionRequestsAreCountedToTheUnit is TestCountsAreExactWhateverHappensToRedis
// at length and without rests, half of it on each form of Redis.
func TestAMillionRequestsAreCountedToTheUnit(t *testing.T) {
	const atOnce = 50_000 // osemu's log has room for all of them
	for _, form := range slices.Sorted(maps.Keys(forms)) {
		t.Run(form, func(t *testing.T) {
			s := newSuite(t, forms[form](t))
			began := time.Now()
			names := slices.Sorted(maps.Keys(harassments))
			for sent := 0; sent < *requestsFlag/len(forms); sent += atOnce {
				wait := s.drivers.drive(4, atOnce, s.gateways...)
				for s.drivers.left.Load() > 0 {
					s.suffers(names[rand.IntN(len(names))])
					pause(time.Duration(rand.Int64N(int64(2 * aFlush))))
				}
				wait()
				s.calms()
				s.collect()
			}
			s.recounts()
			s.drivers.answeredAll(t)
			t.Logf("%d requests in %v", *requestsFlag/len(forms), time.Since(began).Round(time.Second))
		})
	}
}
