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
// and a cluster. Quota, cache and statistics are common to both.
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
			gateways := s.gateways(2, "REDIS_URL="+start(t), "REDIS_TIMEOUT="+busyRedis, "RATE_MAX_WAIT=0", "RATE_OVERRIDES=app-two=1000")
			one, two := everywhere(gateways, "app-one"), everywhere(gateways, "app-two")
			b := paced(2*time.Second, 50, one...)
			b.evenly(t, 10, len(s.emulator.requests(toObjectStore)))
			eachAdmitted(t, gateways)

			asked := 0
			for i, c := range two {
				other := two[1-i]
				eventually(t, "a hit: the write's lease is given back behind its answer", func() bool {
					asked++
					return hit(c.get(keyOne).is(http.StatusOK))
				})
				other.put("KeyOne", "written-"+strconv.Itoa(i)).succeeded()
				asked += 2 // this and the next
				if a := c.get(keyOne).is(http.StatusOK); !strings.Contains(a.body, `"written-`+strconv.Itoa(i)+`"`) {
					t.Errorf("gateway %d serves %s after the other wrote %d", i+1, a.body, i)
				}
			}
			eventually(t, fmt.Sprint(asked, " counted over both gateways"), func() bool {
				const root = "/api/v1/organizations/org-root"
				return total(two[0].counts(root+today("1hour"))) == asked && total(two[1].counts(root+today("1hour"))) == asked
			})
			for _, g := range gateways {
				g.degrades(t, false)
			}
		})
	}
}

// TestAFailoverIsNotTheCallers kills the primary while clients send requests, and the
// sentinels promote the replica.
func TestAFailoverIsNotTheCallers(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t)
	s := newStack(t, false)
	g := s.gateway("REDIS_URL="+sentinels.URL(), "REDIS_TIMEOUT="+troubledRedis.String(), "RATE=1000", "RATE_BURST=1000")
	one, two := g.as("app-one"), g.as("app-two")
	f := begin(t, one, two, one, two)
	f.flows(t, 2)
	sentinels.Failover()
	g.degrades(t, false)
	f.flows(t, 5)
	y := f.end()
	y.only(t, http.StatusOK)
	g.saysLittle(t)
	one.countsIn(t, sentinels.Primary())
	t.Logf("%v; %d lines", y, len(g.remarks()))
}

// TestAFrozenPrimaryIsNotTheCallers freezes the primary while clients send requests.
// Its connections stay open until the sentinels have promoted the replica.
func TestAFrozenPrimaryIsNotTheCallers(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t)
	s := newStack(t, false)
	g := s.gateway("REDIS_URL="+sentinels.URL(), "REDIS_TIMEOUT="+troubledRedis.String(), "RATE=1000", "RATE_BURST=1000")
	one, two := g.as("app-one"), g.as("app-two")
	f := begin(t, one, two, one, two)
	f.flows(t, 2)
	old := sentinels.Freeze()
	if late := (caller{t: t, base: g.admin}).get("/metrics").body; !strings.Contains(late, `error_type="timeout"`) { // gone or not: a replica may be faster
		t.Error("no round trip to Redis was late while its primary was silent")
	}
	g.degrades(t, false) // on the new primary
	f.flows(t, 5)
	old.Resume() // and is made a replica of the other
	f.flows(t, 10)
	g.degrades(t, false)
	y := f.end()
	y.only(t, http.StatusOK)
	g.saysLittle(t)
	t.Logf("%v; %d lines", y, len(g.remarks()))
}

// TestANodeThatIsGoneIsNotTheCallers kills one node of the cluster while clients send
// requests, and starts it again, empty.
func TestANodeThatIsGoneIsNotTheCallers(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := newStack(t, false)
	g := s.gateway("REDIS_URL="+cluster.URL(), "REDIS_TIMEOUT="+troubledRedis.String(), "RATE=1000", "RATE_BURST=1000")
	one, two := g.as("app-one"), g.as("app-two")
	f := begin(t, one, two, one, two)
	f.flows(t, 2)
	cluster.Stop(1)
	g.degrades(t, true)
	f.flows(t, 10)
	cluster.Node(1).Restart()
	cluster.Await()
	g.degrades(t, false)
	f.flows(t, 5)
	y := f.end()
	y.only(t, http.StatusOK)
	g.saysLittle(t)
	t.Logf("%v; %d lines", y, len(g.remarks()))
}

// TestAMovedSlotIsNotTheCallers moves the slots of a client's quota and of a store's
// generations to another node of the cluster while clients send requests, and pauses in
// the middle of each move.
func TestAMovedSlotIsNotTheCallers(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := newStack(t, false)
	g := s.gateway("REDIS_URL="+cluster.URL(), "REDIS_TIMEOUT="+troubledRedis.String(), "RATE=1000", "RATE_BURST=1000")
	one := g.as("app-one")
	f := begin(t, one, one, one, one)
	f.flows(t, 2)
	for _, kind := range []string{":rate:", ":generation:"} {
		key := anyKey(t, cluster, kind)
		slot := cluster.Slot(key)
		to := (cluster.Owner(slot) + 1) % redistest.Nodes
		cluster.BeginMove(slot, to)
		f.flows(t, 5)
		cluster.EndMove(slot, to)
		f.flows(t, 5)
	}
	y := f.end()
	y.only(t, http.StatusOK)
	g.degrades(t, false)
	t.Logf("%v; %d lines", y, len(g.remarks()))
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
