package coherence

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn/redistest"
)

// openSlot is a slot that a cluster is moving.
type openSlot struct {
	*redistest.Cluster
	slot, to   int
	epoch      string
	generation [2]string // of the first two resources
}

// open begins to move the first slot of c. The test ends the move.
func open(t *testing.T, s *redistest.Cluster, c *Redis) *openSlot {
	t.Helper()
	o := &openSlot{Cluster: s, slot: s.Slot(c.slots[0].key), epoch: c.slots[0].key}
	copy(o.generation[:], c.calls(pair(0), c.scripts.read)[0].keys[1:])
	o.to = (s.Owner(o.slot) + 1) % redistest.Nodes
	s.OpenSlot(o.slot, o.to)
	return o
}

func (o *openSlot) move(keys ...string) { o.MoveKeys(o.slot, o.to, keys...) }

func (o *openSlot) end() { o.EndMove(o.slot, o.to) }

// away lists the ways in which the keys of a write and of a concurrent read may be
// spread over the nodes while a cluster moves their slot.
var away = map[string]func(o *openSlot){
	"one generation is nowhere":  func(o *openSlot) { o.Node(o.Owner(o.slot)).Do("DEL", o.generation[1]) },
	"one generation has moved":   func(o *openSlot) { o.move(o.generation[1]) },
	"the epoch has moved":        func(o *openSlot) { o.move(o.epoch) },
	"the generations have moved": func(o *openSlot) { o.move(o.generation[:]...) },
	"all have moved but one":     func(o *openSlot) { o.move(o.epoch, o.generation[0]) },
}

// TestAWriteInASlotThatMovesIsMarked in both modes: a read through another gateway, all
// of whose keys are on one node, is not answered from the cache, and entries that were
// stored before have another epoch.
func TestAWriteInASlotThatMovesIsMarked(t *testing.T) {
	t.Parallel()
	const settle = time.Millisecond // much shorter than the lease of the write
	s := redistest.StartCluster(t, "--cluster-node-timeout", "60000")
	for mode, change := range map[string]func(*RedisOptions){"strict": strict, "by default": func(*RedisOptions) {}} {
		for name, lie := range away {
			t.Run(mode+"/"+name, func(t *testing.T) {
				a, b := gateway(t, s, settlesAfter(settle), change), gateway(t, s, settlesAfter(settle), change)
				before, _ := awaitOpen(t, b, pair(0))
				o := open(t, s, a)
				lie(o)
				if err := a.Mark(t.Context(), pair(0), NewID(), time.Minute); err != nil || a.unmarked.any() {
					t.Errorf("marking a write: %v; remembered as unmarked: %t", err, a.unmarked.any())
				}
				if got, err := b.Read(t.Context(), resource(0)); err == nil && got.Closed != closedBySettling {
					t.Errorf("another gateway reads %+v, want it closed", got)
				}
				o.end()
				after := read(t, b, resource(0))
				wantClosed(t, after, closedBySettling, "when the slot has moved")
				if after.Stamp.Epoch == before.Stamp.Epoch {
					t.Error("the epoch is the one of before the write")
				}
				s.Node(o.to).Flush() // the lease is long
			})
		}
	}
}

func TestAWriteOfTwoSlotsHoldsTheWholeSlotOnlyWhereItMoves(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, "--cluster-node-timeout", "60000")
	c := gateway(t, s)
	both := pair(0)
	both.list[1].Slot = 1
	still := resource(1)
	still.list[0].Slot = 1
	read(t, c, still)
	o := open(t, s, c)
	defer o.end()
	writer := NewID()
	markFor(t, c, both, writer, time.Minute)
	wantClosed(t, read(t, c, still), closedByWrite, "in the slot that stays")
	c.Release(both, writer, true)
	c.giveBackAll(t.Context())
	wantOpen(t, read(t, c, still), "in the slot that stays, after the release")
}

func TestUnmarkedWritesAreMadeUpForWhileASlotMoves(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, "--cluster-node-timeout", "60000")
	c := gateway(t, s, settlesAfter(time.Millisecond))
	read(t, c, pair(0))
	o := open(t, s, c)
	c.unmarked.add(pair(0), NewID(), time.Now().Add(time.Minute))
	o.move(o.generation[1])
	c.markLate(t.Context())
	if c.unmarked.any() {
		t.Error("the write waits to be marked")
	}
	o.end()
	wantClosed(t, read(t, c, resource(0)), closedBySettling, "when the slot has moved")
}

// TestAKeyThatIsGoneWhileAScriptRunsIsNotOnTheNode: Redis then ends the script with
// another error than TRYAGAIN.
func TestAKeyThatIsGoneWhileAScriptRunsIsNotOnTheNode(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, "--cluster-node-timeout", "60000")
	c := gateway(t, s)
	read(t, c, pair(0))
	o := open(t, s, c)
	defer o.end()
	const script = "redis.call('DEL', KEYS[1]) return redis.call('SET', KEYS[1], '1')"
	owner := client(t, s.Node(s.Owner(o.slot)))
	if err := redis.NewScript(script).Eval(t.Context(), owner, o.generation[:1]).Err(); err == nil || !spansNodes(err) {
		t.Errorf("got %v", err)
	}
}
