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

// redisForms are the forms of Redis under test.
var redisForms = map[string]func(t *testing.T) *disturbedRedis{"single": newDisturbedServer, "cluster": newDisturbedCluster}

// exactSettings admit all requests. One gateway gives up Redis early and the other
// late. The former has many short outages. The latter sends each of its batches before
// it gives up, and does not receive the result. Hits are possible two times
// UPSTREAM_TIMEOUT after a restart of Redis.
var exactSettings = [][]string{
	{"RATE=0", "LOG_LEVEL=warn", "UPSTREAM_TIMEOUT=5s", "REDIS_TIMEOUT=300ms"},
	{"RATE=0", "LOG_LEVEL=warn", "UPSTREAM_TIMEOUT=5s", "REDIS_TIMEOUT=1s"},
}

// requestLogCapacity is the number of requests for which the log of osemu certainly has
// room.
const requestLogCapacity = 80_000

// countingRun is two gateways with one Redis, and the drivers that send requests
// through them.
type countingRun struct {
	*stack
	t         *testing.T
	redis     *disturbedRedis
	gateways  []*gateway
	clients   *loadClients
	upstream  placeCounts    // operations that osemu has answered with 2xx, as far as its log was read
	large     placeCounts    // upstream operations that concern the large value
	disturbed map[string]int // how often, by name of the disturbance
}

func newCountingRun(t *testing.T, redis *disturbedRedis) *countingRun {
	t.Helper()
	s := &countingRun{stack: newStack(t, false, "-quiet"), t: t, redis: redis, upstream: placeCounts{}, large: placeCounts{}, disturbed: map[string]int{}}
	for i, settings := range exactSettings {
		s.gateways = append(s.gateways, s.gateway(append(settings, "REDIS_URL="+redis.urls[i])...))
	}
	s.clients = newLoadClients(s.gateways[0])
	s.clients.start(4, 2000, s.gateways...)() // while Redis works, there are hits
	return s
}

// disturb disturbs the Redis in this way, and ends the disturbance.
func (s *countingRun) disturb(name string) {
	s.t.Helper()
	s.disturbed[name]++
	disturbances[name](s.redis)
	s.redis.heal()
}

// awaitRecovery waits until the gateways use Redis again and have written all waiting
// counts.
func (s *countingRun) awaitRecovery() {
	s.t.Helper()
	for _, g := range s.gateways {
		g.awaitDegraded(s.t, false)
	}
}

// collect reads the log of osemu and empties it. No requests are sent at the same time.
func (s *countingRun) collect() {
	s.t.Helper()
	s.upstream.add(s.emulator.countAnswered())
	s.large.add(s.emulator.countAnsweredTo("/" + largeKey))
	s.emulator.clearRequests()
}

// checkCounts stops the gateways right after some more requests, and compares the
// counts that a new gateway reads with the responses.
func (s *countingRun) checkCounts() {
	s.t.Helper()
	s.clients.start(4, 1000, s.gateways...)()
	for i, g := range s.gateways {
		if code := g.stop(syscall.SIGTERM); code != 0 {
			s.t.Errorf("gateway %d ended with %d, want 0: all counts written", i+1, code)
		}
	}
	s.collect()
	witness := s.gateway("RATE=0", "REDIS_URL="+s.redis.urls[0], "REDIS_TIMEOUT="+longRedisTimeout)
	for source, want := range map[string]placeCounts{
		"client": s.clients.succeeded.atEveryLevel(), "client&unit=billing": s.clients.succeeded.billed(s.clients.large).atEveryLevel(),
		"upstream": s.upstream.atEveryLevel(), "upstream&unit=billing": s.upstream.billed(s.large).atEveryLevel(),
	} {
		if diff := cmp.Diff(want, witness.readCounts(s.clients.members, source, s.clients.succeeded.atEveryLevel())); diff != "" {
			s.t.Errorf("source=%s: answered 2xx (-) and counted (+):\n%s", source, diff)
		}
	}
	s.t.Logf("%d requests answered 2xx, %d of them by Object Store (%d and %d with the large value), compared at %d places; answers by status %v; through %v",
		s.clients.succeeded.total(), s.upstream.total(), s.clients.large.total(), s.large.total(), len(s.clients.succeeded.atEveryLevel()), s.clients.byStatus, s.disturbed)
}

// TestCountsAreExactDuringRedisFailures sends requests for 36 stores of three
// organizations through two gateways, while their Redis is disturbed in each known way.
// At the end the count of each store, region, environment and organization equals the
// number of 2xx that the clients received, and the count for upstream equals the number
// of requests that osemu received.
func TestCountsAreExactDuringRedisFailures(t *testing.T) {
	t.Parallel()
	for form, start := range redisForms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newCountingRun(t, start(t))
			s.clients.pause = 5 * time.Millisecond // other tests run at the same time
			wait := s.clients.start(4, requestLogCapacity, s.gateways...)
			names := slices.Collect(maps.Keys(disturbances))
			for _, i := range rand.Perm(len(names)) {
				s.disturb(names[i])
				s.awaitRecovery()
			}
			s.clients.stop()
			wait()
			s.checkCounts()
			s.clients.checkAllAnswered(t)
			if s.upstream.total() == s.clients.succeeded.total() || s.large.total() <= largeStores || s.large.total() == s.clients.large.total() || s.clients.byStatus[http.StatusNotFound] == 0 {
				t.Errorf("answers by status %v, %d by Object Store: the test proves little", s.clients.byStatus, s.upstream.total())
			}
		})
	}
}
