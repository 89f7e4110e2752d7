package coherence

import (
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
)

func TestCoherenceKeepsItsContractOverACluster(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, "--cluster-node-timeout", "60000") // no node counts as failed
	flush := func() {
		for i := range redistest.Nodes {
			s.Node(i).Flush()
		}
	}
	keepsContract(t, s, flush)
	owners := map[int]bool{}
	c := gateway(t, s)
	for i := range c.slots {
		owners[s.Owner(s.Slot(c.slots[i].key))] = true
	}
	if len(owners) != redistest.Nodes {
		t.Errorf("the slots are on nodes %v only: the test proves little", owners)
	}
	t.Run("what a node forgets settles, and there alone", func(t *testing.T) { onlyOneNodeForgets(t, s) })
	t.Run("an errand rides to another node than its carrier", func(t *testing.T) {
		c := gateway(t, s)
		for slot := range uint8(Slots) { // on all nodes, while its carrier's key is on one
			on := resource(0)
			on.list[0].Slot = slot
			want := read(t, c, on)
			ctx, e := c.StartRead(t.Context(), on)
			ride(ctx, t, c)
			if got, ok := e.(*redisPendingRead); !ok || got.err != nil || got.reading != want {
				t.Fatalf("slot %d: got %+v, want %+v", slot, got, want)
			}
		}
	})
}

func onlyOneNodeForgets(t *testing.T, s *redistest.Cluster) {
	t.Helper()
	c := gateway(t, s)
	here, there := resource(0), resource(0)
	node := s.Owner(s.Slot(c.slots[0].key))
	for s.Owner(s.Slot(c.slots[there.list[0].Slot].key)) == node {
		there.list[0].Slot++
	}
	before, other := read(t, c, here), read(t, c, there)
	s.Node(node).Flush()
	r := read(t, c, here)
	wantClosed(t, r, closedBySettling, "on the node that forgot")
	if r.Stamp.Epoch == before.Stamp.Epoch {
		t.Error("the epoch outlived the flush")
	}
	if read(t, c, there) != other {
		t.Error("something changed on another node")
	}
}

func TestCoherenceKeepsItsContractOverSentinelsAndSettlesAfterAFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinels(t)
	keepsContract(t, s, s.Primary().Flush)

	const settle = 300 * time.Millisecond
	s.Primary().Flush()
	c := gateway(t, s, settlesAfter(settle))
	before := read(t, c, resource(0))
	markFor(t, c, resource(1), NewID(), time.Minute)
	s.Failover()
	start := time.Now()
	var r Reading
	for {
		var err error
		if r, err = c.Read(t.Context(), resource(0)); err == nil {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("long after the failover: %v", err)
		}
	}
	t.Logf("first answer %v after the promotion", time.Since(start))
	wantClosed(t, r, closedBySettling, "after a failover")
	after, _ := awaitOpen(t, c, resource(0))
	if after.Stamp == before.Stamp || after.Stamp.Epoch == before.Stamp.Epoch {
		t.Error("the stamp of before the failover is back")
	}
	if took := time.Since(start); took < settle {
		t.Errorf("open after %v, want %v at least", took, settle)
	}
}
