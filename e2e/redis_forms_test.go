package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
)

// TestEveryFormOfRedisServes runs two gateways with a single Redis, one with sentinels,
// and a cluster. The gateways share quota, cache and statistics.
func TestEveryFormOfRedisServes(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (url string){
		"standalone": func(t *testing.T) string { t.Helper(); return redistest.Start(t).URL() },
		"sentinels":  func(t *testing.T) string { t.Helper(); return redistest.StartSentinels(t).URL() },
		"cluster": func(t *testing.T) string {
			t.Helper()
			return redistest.StartCluster(t, "--cluster-node-timeout", "60000").URL() // none is lost
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, false)
			gateways := s.gateways(2, "REDIS_URL="+start(t), "REDIS_TIMEOUT="+longRedisTimeout, "RATE_MAX_WAIT=0", "RATE_OVERRIDES=app-two=1000")
			one, two := clientOfEach(gateways, "app-one"), clientOfEach(gateways, "app-two")
			b := sendAtRate(2*time.Second, 50, one...)
			b.checkRate(t, 10, len(s.emulator.requests(isObjectStoreRequest)))
			checkEachAdmitted(t, gateways)

			asked := 0
			for i, c := range two {
				other := two[1-i]
				eventually(t, "a hit: the write's lease is released after its answer", func() bool {
					asked++
					return isHit(c.get(keyOne).is(http.StatusOK))
				})
				other.put("KeyOne", "written-"+strconv.Itoa(i)).succeeded()
				asked += 2 // this read and the next one
				if a := c.get(keyOne).is(http.StatusOK); !strings.Contains(a.body, `"written-`+strconv.Itoa(i)+`"`) {
					t.Errorf("gateway %d serves %s after the other wrote %d", i+1, a.body, i)
				}
			}
			eventually(t, fmt.Sprint(asked, " counted over both gateways"), func() bool {
				const root = "/api/v1/organizations/org-root"
				return total(two[0].counts(root+lastDayQuery("1hour"))) == asked && total(two[1].counts(root+lastDayQuery("1hour"))) == asked
			})
			for _, g := range gateways {
				g.awaitDegraded(t, false)
			}
		})
	}
}

// TestRedisFailoverFailsNoRequest kills the primary while clients send requests, and
// the sentinels promote the replica.
func TestRedisFailoverFailsNoRequest(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t)
	s := newStack(t, false)
	g := s.gateway("REDIS_URL="+sentinels.URL(), "REDIS_TIMEOUT="+failingRedisTimeout.String(), "RATE=1000", "RATE_BURST=1000")
	one, two := g.as("app-one"), g.as("app-two")
	f := startTraffic(t, one, two, one, two)
	f.awaitRounds(t, 2)
	sentinels.Failover()
	g.awaitDegraded(t, false)
	f.awaitRounds(t, 5)
	y := f.finish()
	y.checkStatuses(t, http.StatusOK)
	g.checkLogLength(t)
	one.awaitQuotaIn(t, sentinels.Primary())
	t.Logf("%v; %d lines", y, len(g.linesNotOfExchanges()))
}

// TestFrozenRedisPrimaryFailsNoRequest freezes the primary while clients send requests.
// Its connections stay open until the sentinels have promoted the replica.
func TestFrozenRedisPrimaryFailsNoRequest(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t)
	s := newStack(t, false)
	g := s.gateway("REDIS_URL="+sentinels.URL(), "REDIS_TIMEOUT="+failingRedisTimeout.String(), "RATE=1000", "RATE_BURST=1000")
	one, two := g.as("app-one"), g.as("app-two")
	f := startTraffic(t, one, two, one, two)
	f.awaitRounds(t, 2)
	old := sentinels.Freeze()
	if late := (client{t: t, base: g.admin}).get("/metrics").body; !strings.Contains(late, `error_type="timeout"`) { // the connection may or may not be closed: a replica may be faster
		t.Error("no round trip to Redis was late while its primary was silent")
	}
	g.awaitDegraded(t, false) // on the new primary
	f.awaitRounds(t, 5)
	old.Resume() // and becomes a replica of the other
	f.awaitRounds(t, 10)
	g.awaitDegraded(t, false)
	y := f.finish()
	y.checkStatuses(t, http.StatusOK)
	g.checkLogLength(t)
	t.Logf("%v; %d lines", y, len(g.linesNotOfExchanges()))
}

// TestLostRedisNodeFailsNoRequest kills one node of the cluster while clients send
// requests, and starts it again, empty.
func TestLostRedisNodeFailsNoRequest(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := newStack(t, false)
	g := s.gateway("REDIS_URL="+cluster.URL(), "REDIS_TIMEOUT="+failingRedisTimeout.String(), "RATE=1000", "RATE_BURST=1000")
	one, two := g.as("app-one"), g.as("app-two")
	f := startTraffic(t, one, two, one, two)
	f.awaitRounds(t, 2)
	cluster.Stop(1)
	g.awaitDegraded(t, true)
	f.awaitRounds(t, 10)
	cluster.Node(1).Restart()
	cluster.Await()
	g.awaitDegraded(t, false)
	f.awaitRounds(t, 5)
	y := f.finish()
	y.checkStatuses(t, http.StatusOK)
	g.checkLogLength(t)
	t.Logf("%v; %d lines", y, len(g.linesNotOfExchanges()))
}

// TestMovedRedisSlotFailsNoRequest moves the slots of a client's quota and of a store's
// generations to another node of the cluster while clients send requests, and pauses in
// the middle of each move.
func TestMovedRedisSlotFailsNoRequest(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := newStack(t, false)
	g := s.gateway("REDIS_URL="+cluster.URL(), "REDIS_TIMEOUT="+failingRedisTimeout.String(), "RATE=1000", "RATE_BURST=1000")
	one := g.as("app-one")
	f := startTraffic(t, one, one, one, one)
	f.awaitRounds(t, 2)
	for _, kind := range []string{":rate:", ":generation:"} {
		key := anyKey(t, cluster, kind)
		slot := cluster.Slot(key)
		to := (cluster.Owner(slot) + 1) % redistest.Nodes
		cluster.BeginMove(slot, to)
		f.awaitRounds(t, 5)
		cluster.EndMove(slot, to)
		f.awaitRounds(t, 5)
	}
	y := f.finish()
	y.checkStatuses(t, http.StatusOK)
	g.awaitDegraded(t, false)
	t.Logf("%v; %d lines", y, len(g.linesNotOfExchanges()))
}

// anyKey returns a key of the cluster whose name contains this text.
func anyKey(t *testing.T, cluster *redistest.Cluster, part string) string {
	t.Helper()
	var all []string
	for i := range redistest.Nodes {
		_, port, _ := strings.Cut(cluster.Node(i).Addr(), ":")
		text, err := exec.Command("redis-cli", "-p", port, "--scan").Output()
		if err != nil {
			t.Fatalf("listing the keys of node %d: %v", i, err)
		}
		for key := range strings.Lines(string(text)) {
			if all = append(all, key); strings.Contains(key, part) {
				return strings.TrimSpace(key)
			}
		}
	}
	t.Fatalf("the cluster has no key with %q in its name, but\n%s", part, strings.Join(all, ""))
	return ""
}
