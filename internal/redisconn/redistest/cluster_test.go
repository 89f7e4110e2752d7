package redistest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn/redistest"
)

// within returns a context for operations that take milliseconds unless something is
// wrong.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestClusterServesEverySlotAndMovesThem(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	options, err := redis.ParseClusterURL(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClusterClient(options)
	t.Cleanup(func() { _ = client.Close() })
	owners := map[int]bool{}
	for _, key := range []string{"{a}1", "{a}2", "{b}", "{c}", "{d}", "{e}"} {
		if err := client.Set(within(t), key, key, 0).Err(); err != nil {
			t.Fatalf("SET %s: %v", key, err)
		}
		owner := c.Owner(c.Slot(key))
		owners[owner] = true
		if got := c.Node(owner).Do("GET", key); got != key {
			t.Errorf("node %d, which has the slot of %s, holds %q", owner, key, got)
		}
	}
	if len(owners) != redistest.Nodes {
		t.Fatalf("the keys are on nodes %v: the test proves little", owners)
	}

	slot := c.Slot("{a}")
	from := c.Owner(slot)
	to := (from + 1) % redistest.Nodes
	c.BeginMove(slot, to)
	if got := client.Get(within(t), "{a}1").Val(); got != "{a}1" {
		t.Errorf("while its slot moves, GET = %q", got)
	}
	c.EndMove(slot, to)
	if got := c.Node(to).Do("GET", "{a}2"); got != "{a}2" || c.Owner(slot) != to {
		t.Errorf("after the move, node %d holds %q and node %d is the owner", to, got, c.Owner(slot))
	}
	if got := c.Node(from).Do("CLUSTER", "COUNTKEYSINSLOT", "0"); got != "0" {
		t.Errorf("%s keys are left behind", got)
	}
}

func TestClusterNodeIsLostAndComesBack(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, "--cluster-require-full-coverage", "no")
	c.Stop(1)
	c.Node(0).Do("SET", keyOf(c, 0), "v") // still serves its own keys
	c.Node(1).Restart()
	c.Await()
	c.Node(1).Do("SET", keyOf(c, 1), "v")
}

// keyOf returns a key in a slot of the node.
func keyOf(c *redistest.Cluster, node int) string {
	key := "k"
	for c.Owner(c.Slot(key)) != node {
		key += "k"
	}
	return key
}

func TestFailoverPromotesTheReplica(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinels(t)
	old := s.Primary()
	old.Do("SET", "k", "v")
	for end := time.Now().Add(10 * time.Second); s.Replica().Do("GET", "k") != "v"; {
		if time.Now().After(end) {
			t.Fatal("the replica does not follow")
		}
		<-time.After(5 * time.Millisecond)
	}
	s.Failover()
	if s.Primary() == old {
		t.Fatal("the primary is the one of before")
	}
	if got := s.Primary().Do("GET", "k"); got != "v" {
		t.Errorf("the promoted one holds %q", got)
	}
	options, err := redis.ParseFailoverURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewFailoverClient(options)
	t.Cleanup(func() { _ = client.Close() })
	if err := client.Set(within(t), "k", "w", 0).Err(); err != nil || !strings.Contains(s.Primary().Do("GET", "k"), "w") {
		t.Errorf("a client of the sentinels: %v", err)
	}
}
