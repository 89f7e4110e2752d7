package e2e

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// forms are the forms of Redis under test.
var forms = map[string]func(t *testing.T) *harassed{"single": harassedSingle, "cluster": harassedCluster}

// exactSettings admit all requests, and have one gateway give up Redis early and the
// other late. The former has many short outages. The latter sends each of its batches
// before it gives up, and does not receive the result. Hits are possible two times
// UPSTREAM_TIMEOUT after a restart of Redis.
var exactSettings = [][]string{
	{"RATE=0", "LOG_LEVEL=warn", "UPSTREAM_TIMEOUT=5s", "REDIS_TIMEOUT=300ms"},
	{"RATE=0", "LOG_LEVEL=warn", "UPSTREAM_TIMEOUT=5s", "REDIS_TIMEOUT=1s"},
}

// fitsTheLog is the number of requests for which the log of osemu certainly has room.
const fitsTheLog = 80_000

// suite is two gateways with one Redis, and the drivers that send requests through
// them.
type suite struct {
	*stack
	t        *testing.T
	redis    *harassed
	gateways []*gateway
	drivers  *drivers
	upstream sum            // what osemu has answered 2xx, as far as it was asked
	large    sum            // those of upstream that are about the large value
	suffered map[string]int // how often, by name of the harassment
}

func newSuite(t *testing.T, redis *harassed) *suite {
	t.Helper()
	s := &suite{stack: newStack(t, false, "-quiet"), t: t, redis: redis, upstream: sum{}, large: sum{}, suffered: map[string]int{}}
	for i, settings := range exactSettings {
		s.gateways = append(s.gateways, s.gateway(append(settings, "REDIS_URL="+redis.urls[i])...))
	}
	s.drivers = newDrivers(s.gateways[0])
	s.drivers.drive(4, 2000, s.gateways...)() // as long as Redis is well, there are hits
	return s
}

// suffers disturbs the Redis in this way, and ends the disturbance.
func (s *suite) suffers(name string) {
	s.t.Helper()
	s.suffered[name]++
	harassments[name](s.redis)
	s.redis.heal()
}

// calms waits until the gateways use Redis again and have written all waiting counts.
func (s *suite) calms() {
	s.t.Helper()
	for _, g := range s.gateways {
		g.degrades(s.t, false)
	}
}

// collect reads the log of osemu and empties it. No requests are sent at the same time.
func (s *suite) collect() {
	s.t.Helper()
	s.upstream.add(s.emulator.answered())
	s.large.add(s.emulator.answeredTo("/" + largeKey))
	s.emulator.forget()
}

// recounts stops the gateways right after some more requests, and compares the counts
// that a new gateway reads with the responses.
func (s *suite) recounts() {
	s.t.Helper()
	s.drivers.drive(4, 1000, s.gateways...)()
	for i, g := range s.gateways {
		if code := g.stop(syscall.SIGTERM); code != 0 {
			s.t.Errorf("gateway %d ended with %d, want 0: all counts written", i+1, code)
		}
	}
	s.collect()
	witness := s.gateway("RATE=0", "REDIS_URL="+s.redis.urls[0], "REDIS_TIMEOUT="+busyRedis)
	for source, want := range map[string]sum{
		"client": s.drivers.good.atEveryLevel(), "client&unit=billing": s.drivers.good.billed(s.drivers.large).atEveryLevel(),
		"upstream": s.upstream.atEveryLevel(), "upstream&unit=billing": s.upstream.billed(s.large).atEveryLevel(),
	} {
		if diff := cmp.Diff(want, witness.counted(s.drivers.members, source, s.drivers.good.atEveryLevel())); diff != "" {
			s.t.Errorf("source=%s: answered 2xx (-) and counted (+):\n%s", source, diff)
		}
	}
	s.t.Logf("%d requests answered 2xx, %d of them by Object Store (%d and %d with the large value), compared at %d places; answers by status %v; through %v",
		s.drivers.good.all(), s.upstream.all(), s.drivers.large.all(), s.large.all(), len(s.drivers.good.atEveryLevel()), s.drivers.byStatus, s.suffered)
}

// TestCountsAreExactWhateverHappensToRedis sends requests for 36 stores of three
// organizations through two gateways, while their Redis is disturbed in each known way.
// At the end the count of each store, region, environment and organization equals the
// number of 2xx that the clients received, and the count for upstream equals the number
// of requests that osemu received.
func TestCountsAreExactWhateverHappensToRedis(t *testing.T) {
	t.Parallel()
	for form, start := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newSuite(t, start(t))
			s.drivers.rest = 5 * time.Millisecond // there are other tests
			wait := s.drivers.drive(4, fitsTheLog, s.gateways...)
			names := slices.Collect(maps.Keys(harassments))
			for _, i := range rand.Perm(len(names)) {
				s.suffers(names[i])
				s.calms()
			}
			s.drivers.halt()
			wait()
			s.recounts()
			s.drivers.answeredAll(t)
			if s.upstream.all() == s.drivers.good.all() || s.large.all() <= largeStores || s.large.all() == s.drivers.large.all() || s.drivers.byStatus[http.StatusNotFound] == 0 {
				t.Errorf("answers by status %v, %d by Object Store: the test proves little", s.drivers.byStatus, s.upstream.all())
			}
		})
	}
}
