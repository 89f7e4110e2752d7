package cache_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn/redistest"
)

// TestReadersSeeEveryWriteWhileASlotMoves moves the slot of all keys from node to node
// of a cluster, key by key. No write is refused or goes unmarked.
func TestReadersSeeEveryWriteWhileASlotMoves(t *testing.T) {
	t.Parallel()
	for name, strict := range map[string]bool{"strict": true, "by default": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.StartCluster(t, "--cluster-node-timeout", "60000")
			h, caches := twoGateways(t, s, strict)
			h.writer = caches[0]
			h.run(func() { h.moveSlot(s) }, func() bool { return true }, caches...)
			if n := h.refused.Load(); n > 0 {
				t.Errorf("%d writes were refused", n)
			}
		})
	}
}

// moveSlot moves the slot of the store three times, each time when there are hits.
func (h *history) moveSlot(s *redistest.Cluster) {
	h.Helper()
	slot := slotOf(h, s)
	for range 3 {
		for before := h.hits.Load(); h.hits.Load() < before+100 && !h.Failed(); {
			<-time.After(time.Millisecond)
		}
		to := (s.Owner(slot) + 1) % redistest.Nodes
		s.OpenSlot(slot, to)
		for keys := s.Keys(slot); len(keys) > 0; keys = s.Keys(slot) {
			<-time.After(5 * time.Millisecond)
			s.MoveKeys(slot, to, keys[rand.IntN(len(keys))])
		}
		s.EndMove(slot, to)
	}
}

// slotOf returns the slot of the one store that has generations.
func slotOf(h *history, s *redistest.Cluster) int {
	h.Helper()
	for i := range redistest.Nodes {
		node := redis.NewClient(&redis.Options{Addr: s.Node(i).Addr()})
		keys, err := node.Keys(h.Context(), "*:generation:*").Result()
		_ = node.Close()
		if err != nil {
			h.Fatal(err)
		}
		if len(keys) > 0 {
			return s.Slot(keys[0])
		}
	}
	h.Fatal("there are no generations")
	return 0
}
