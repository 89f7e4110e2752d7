package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"osgate/internal/redisconn/redistest"
)

// splitRedis starts a Redis with a replica, promotes the replica, and returns a client
// through a gateway on each. The former primary is not informed of the promotion.
func splitRedis(t *testing.T, guard ...string) (former, promoted client, s *stack) {
	t.Helper()
	s = newStack(t, false)
	primary := redistest.Start(t, guard...)
	host, port, _ := strings.Cut(primary.Addr(), ":")
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	eventually(t, "the replica to follow", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up")
	})
	through := func(server *redistest.Server) client {
		return s.gateway("RATE=0", "UPSTREAM_TIMEOUT=1s", "CACHE_KEY_TTL=3s", "REDIS_URL="+server.URL(), "REDIS_TIMEOUT=1s").as("app-one")
	}
	former = through(primary)
	replica.Do("REPLICAOF", "NO", "ONE")
	return former, through(replica), s
}

// TestSplitBrainIsStaleOnBothSidesForTheFreshnessAtMost shows the documented effect
// without min-replicas-to-write: the readers of each side do not receive the writes of
// the other until their entries are no longer fresh.
func TestSplitBrainIsStaleOnBothSidesForTheFreshnessAtMost(t *testing.T) {
	t.Parallel()
	former, promoted, _ := splitRedis(t)
	round := 0
	for name, side := range map[string]struct{ reads, writes client }{
		"on the former primary":   {former, promoted},
		"on the promoted replica": {promoted, former},
	} {
		stale := 0
		eventually(t, "a stale hit "+name, func() bool {
			eventually(t, "a hit "+name, func() bool { return isHit(side.reads.get(keyOne).is(http.StatusOK)) })
			round++
			value := fmt.Sprint("round-", round)
			side.writes.put("KeyOne", value).succeeded()
			sees := func() bool {
				a := side.reads.get(keyOne).is(http.StatusOK)
				current := strings.Contains(a.body, `"`+value+`"`)
				if !current && !isHit(a) {
					t.Errorf("%s: an answer of upstream is stale: %s", name, a.body)
				}
				if !current {
					stale++
				}
				return current
			}
			eventually(t, "the write of the other side "+name, sees)
			return stale > 0
		})
	}
}

// TestFormerPrimaryThatRefusesWritesServesNoHit shows the effect of
// min-replicas-to-write.
func TestFormerPrimaryThatRefusesWritesServesNoHit(t *testing.T) {
	t.Parallel()
	former, promoted, _ := splitRedis(t, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
	eventually(t, "no hit on the former primary", func() bool { return !isHit(former.get(keyOne).is(http.StatusOK)) })
	for round := range 5 {
		value := fmt.Sprint("round-", round)
		promoted.put("KeyOne", value).succeeded()
		if a := former.get(keyOne).is(http.StatusOK); isHit(a) || !strings.Contains(a.body, `"`+value+`"`) {
			t.Errorf("through the former primary: %s (%s), want %s", a.body, a.header.Get("Cache-Status"), value)
		}
	}
}
