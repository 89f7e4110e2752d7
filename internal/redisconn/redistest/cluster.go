package redistest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// Nodes is the number of primaries of a [Cluster].
	Nodes = 3
	// slots is the number of hash slots of a cluster (Redis cluster specification).
	slots = 16384
	// busOffset is added to a node's port for the port of the cluster bus.
	busOffset = 10000
	// pollInterval is the interval at which a condition is checked.
	pollInterval = 20 * time.Millisecond
	// moveBatch is the number of keys in one MIGRATE.
	moveBatch = "100"
)

// Cluster is a Redis cluster of three primaries without replicas on loopback ports. A
// third of the slots is on each, in order. Its methods are like those of [Server].
type Cluster struct {
	t     testing.TB
	nodes [Nodes]*Server
	ids   [Nodes]string
	moved map[int]int // maps a slot to the node that it was moved to
}

// StartCluster starts a cluster and returns when each of its nodes serves all slots.
// The cluster is killed when the test ends. extra are more arguments for each
// redis-server.
func StartCluster(t testing.TB, extra ...string) *Cluster {
	t.Helper()
	needRedis(t)
	c := &Cluster{t: t, moved: map[int]int{}}
	args := append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}, extra...)
	var (
		starting sync.WaitGroup
		errs     [Nodes]error
	)
	for i := range c.nodes {
		s := newServer(t, args...)
		c.nodes[i] = s
		starting.Go(func() {
			errs[i] = retry(func() (err error) {
				if s.port, err = freeClusterPort(); err != nil {
					return err
				}
				return s.launch()
			})
		})
	}
	starting.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatalf("starting the nodes of a cluster: %v", err)
	}
	c.form()
	return c
}

// form joins the nodes to a cluster.
func (c *Cluster) form() {
	c.t.Helper()
	for i, s := range c.nodes {
		c.ids[i] = s.Do("CLUSTER", "MYID")
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)) // otherwise the nodes must agree on epochs first
		s.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(firstSlot(i)), strconv.Itoa(firstSlot(i+1)-1))
		if i > 0 {
			s.Do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(c.nodes[0].port))
		}
	}
	c.Await()
}

// firstSlot returns the first slot of node i.
func firstSlot(i int) int { return (i*slots + Nodes - 1) / Nodes }

// Await returns when each node knows all others and serves all slots, for example after
// a [Server.Restart] of one. It takes a little over two seconds: a primary that has
// just started waits that long before it accepts writes.
func (c *Cluster) Await() {
	c.t.Helper()
	await(c.t, "the cluster to be whole", func() bool {
		for _, s := range c.nodes {
			info, err := command(s.Addr(), []string{"CLUSTER", "INFO"})
			if err != nil || !strings.Contains(info.text, "cluster_state:ok") ||
				!strings.Contains(info.text, fmt.Sprintf("cluster_slots_ok:%d\r", slots)) ||
				!strings.Contains(info.text, fmt.Sprintf("cluster_size:%d\r", Nodes)) {
				return false
			}
		}
		return true
	})
}

// Node returns node i, counted from 0.
func (c *Cluster) Node(i int) *Server { return c.nodes[i] }

// URL returns the addresses of all nodes as a redis:// URL in the cluster form.
func (c *Cluster) URL() string { return urlOf(c.nodes[:], url.Values{}) }

// urlOf returns a redis:// URL with the first server as host and the others as addr.
func urlOf(servers []*Server, query url.Values) string {
	q := maps.Clone(query)
	for _, s := range servers[1:] {
		q.Add("addr", s.Addr())
	}
	return "redis://" + servers[0].Addr() + "?" + q.Encode()
}

// Stop kills node i. No node serves its slots until [Server.Restart] starts it again,
// empty but with its knowledge of the cluster.
func (c *Cluster) Stop(i int) {
	c.t.Helper()
	c.nodes[i].Stop()
}

// Slot returns the slot of a key.
func (c *Cluster) Slot(key string) int {
	c.t.Helper()
	slot, err := strconv.Atoi(c.nodes[0].Do("CLUSTER", "KEYSLOT", key))
	if err != nil {
		c.t.Fatalf("slot of key %q: %v", key, err)
	}
	return slot
}

// Owner returns the node that has a slot.
func (c *Cluster) Owner(slot int) int {
	if i, ok := c.moved[slot]; ok {
		return i
	}
	i := 0
	for firstSlot(i+1) <= slot {
		i++
	}
	return i
}

// MoveSlot moves a slot with its keys to node to, like an operator who adds a node:
// [Cluster.BeginMove] and [Cluster.EndMove].
func (c *Cluster) MoveSlot(slot, to int) {
	c.t.Helper()
	c.BeginMove(slot, to)
	c.EndMove(slot, to)
}

// BeginMove moves the keys of a slot to node to: [Cluster.OpenSlot], and
// [Cluster.MoveKeys] for all keys.
func (c *Cluster) BeginMove(slot, to int) {
	c.t.Helper()
	c.OpenSlot(slot, to)
	c.moveAll(slot, to)
}

// OpenSlot begins to move a slot to node to, and moves none of its keys. From then on
// the node that has the slot redirects commands for keys that it does not have to the
// other node (ASK), and refuses commands for several keys of which it has only some
// (TRYAGAIN).
func (c *Cluster) OpenSlot(slot, to int) {
	c.t.Helper()
	from := c.Owner(slot)
	name := strconv.Itoa(slot)
	c.nodes[to].Do("CLUSTER", "SETSLOT", name, "IMPORTING", c.ids[from])
	c.nodes[from].Do("CLUSTER", "SETSLOT", name, "MIGRATING", c.ids[to])
}

// Keys returns keys of a slot from the node that has it, at most a hundred.
func (c *Cluster) Keys(slot int) []string {
	c.t.Helper()
	return c.nodes[c.Owner(slot)].send("CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), moveBatch).list
}

// MoveKeys moves keys of an open slot to node to. A key that no longer exists is
// ignored.
func (c *Cluster) MoveKeys(slot, to int, keys ...string) {
	c.t.Helper()
	c.nodes[c.Owner(slot)].Do(append([]string{
		"MIGRATE", "127.0.0.1", strconv.Itoa(c.nodes[to].port), "", "0", "5000", "KEYS",
	}, keys...)...)
}

// moveAll moves all keys of a slot.
func (c *Cluster) moveAll(slot, to int) {
	c.t.Helper()
	for keys := c.Keys(slot); len(keys) > 0; keys = c.Keys(slot) {
		c.MoveKeys(slot, to, keys...)
	}
}

// EndMove assigns the slot that [Cluster.BeginMove] has begun to move to node to. All
// nodes then redirect commands for its keys to that node (MOVED).
func (c *Cluster) EndMove(slot, to int) {
	c.t.Helper()
	from := c.Owner(slot)
	c.moveAll(slot, to)
	first := []int{to, from} // in this order the slot always has an owner
	for i := range c.nodes {
		if !slices.Contains(first, i) {
			first = append(first, i)
		}
	}
	for _, i := range first {
		c.nodes[i].Do("CLUSTER", "SETSLOT", strconv.Itoa(slot), "NODE", c.ids[to])
	}
	c.moved[slot] = to
}

// freeClusterPort returns a port that is free and whose bus port is free.
func freeClusterPort() (int, error) {
	const attempts = 100
	for range attempts {
		port, err := freePort()
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+busOffset)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("no two free ports for a cluster node")
}

// await checks a condition until it is met, and fails the test if that takes longer
// than patience.
func await(t testing.TB, what string, met func() bool) {
	t.Helper()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for end := time.Now().Add(patience); !met(); <-poll.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}
