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

// forms are the forms of Redis that are made hard to reach.
var forms = map[string]func(t *testing.T) *harassed{"single": harassedSingle, "cluster": harassedCluster}

// exactSettings let as many requests through as there come, and have one gateway give Redis up early and the other late: so the former has many short
// outages, and the latter sends each of its batches before it gives up, and does not hear what came of it. Two times UPSTREAM_TIMEOUT after a restart of Redis
// there are hits again.
var exactSettings = [][]string{
	{"RATE=0", "LOG_LEVEL=warn", "UPSTREAM_TIMEOUT=5s", "REDIS_TIMEOUT=300ms"},
	{"RATE=0", "LOG_LEVEL=warn", "UPSTREAM_TIMEOUT=5s", "REDIS_TIMEOUT=1s"},
}

// fitsTheLog is how many requests osemu's log holds, with room to spare.
const fitsTheLog = 80_000

// suite is two gateways on one Redis, and those who send through them.
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

// suffers harasses the Redis in this way, and takes that back.
func (s *suite) suffers(name string) {
	s.t.Helper()
	s.suffered[name]++
	harassments[name](s.redis)
	s.redis.heal()
}

// calms waits until the gateways have found their Redis again, and written what they had counted meanwhile.
func (s *suite) calms() {
	s.t.Helper()
	for _, g := range s.gateways {
		g.degrades(s.t, false)
	}
}

// collect reads osemu's log, and empties it. Nobody sends meanwhile.
func (s *suite) collect() {
	s.t.Helper()
	s.upstream.add(s.emulator.answered())
	s.large.add(s.emulator.answeredTo("/" + largeKey))
	s.emulator.forget()
}

// recounts stops the gateways at once after some more requests, and compares what a new one says with what was answered.
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

// TestCountsAreExactWhateverHappensToRedis sends to 36 stores of three organizations through two gateways, while all that can happen to a Redis happens to
// theirs. In the end each store, region, environment and organization has been counted as often as the client was answered 2xx, and as often as osemu was
// asked.
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
