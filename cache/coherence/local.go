package coherence

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"osgate/internal/recent"
)

// localShards is the number of locks.
const localShards = 64

// localBounds bounds the state of a shard.
type localBounds struct {
	// generations is the number of generations, twice that at most. They may be dropped at
	// any time: a dropped one gets a fresh id, so old entries never match.
	generations int

	// leased is the number of resources under lease, which must not be dropped. Beyond
	// that, a lease makes a new epoch that settles when the lease would end.
	leased int
}

// local is the protocol on maps in one process. It does not lock all resources
// of a call at once: a read that overlaps a mark may see a part of it, which has the
// same effect as a read that began before the mark (protocol_test.go explores this
// too).
type local struct {
	epoch   atomic.Pointer[epoch]
	shards  [localShards]localShard
	settled atomic.Int64
}

type localShard struct {
	leased int // bound of leases

	mu     sync.Mutex // guards the fields below
	ids    recent.Map[Resource, ID]
	leases map[Resource][]lease
	full   time.Time // a sweep before this time would free no lease
}

// NewLocal returns the coherence of a single process: all reads and writes of
// the stores that it caches pass through this process. It takes at most about 20 MB,
// never fails, and ends with its process, like the cache.
func NewLocal() Tracker {
	return newLocal(localBounds{generations: 1024, leased: 1024})
}

func newLocal(bounds localBounds) *local {
	c := &local{}
	c.epoch.Store(&epoch{id: NewID()})
	for i := range c.shards {
		c.shards[i].leased = bounds.leased
		c.shards[i].ids = recent.New[Resource, ID](bounds.generations)
		c.shards[i].leases = map[Resource][]lease{}
	}
	return c
}

func (c *local) shard(r Resource) *localShard { return &c.shards[r.Hash[0]%localShards] }

// Read implements [Tracker]. It loads the epoch first: an epoch that is replaced
// while the generations are read makes the stamp unservable.
func (c *local) Read(_ context.Context, on Resources) (Reading, error) {
	now := time.Now()
	e := c.epoch.Load()
	reading := Reading{Stamp: Stamp{Epoch: e.id}}
	if !e.settled(now) {
		reading.Closed = closedBySettling
	}
	for i, r := range on.All() {
		id, open := c.shard(r).read(r, now)
		reading.Stamp.Generations[i] = id
		if !open && reading.Closed == "" {
			reading.Closed = closedByWrite
		}
	}
	return reading, nil
}

// Mark implements [Tracker].
func (c *local) Mark(_ context.Context, on Resources, writer ID, lease time.Duration) error {
	now := time.Now()
	until := now.Add(lease)
	for _, r := range on.All() {
		if !c.shard(r).begin(r, writer, now, until) {
			c.renew(until)
			c.settled.Add(1)
		}
	}
	return nil
}

// Settled implements [Tracker].
func (c *local) Settled() int64 { return c.settled.Load() }

// Release implements [Tracker].
func (c *local) Release(on Resources, writer ID, changed bool) {
	if writer == (ID{}) {
		return
	}
	now := time.Now()
	for _, r := range on.All() {
		c.shard(r).end(r, writer, changed, now)
	}
}

// Reset implements [Tracker].
func (c *local) Reset(context.Context) error {
	c.renew(time.Time{})
	return nil
}

func (c *local) renew(until time.Time) {
	for {
		old := c.epoch.Load()
		next := old.renew(NewID(), until)
		if c.epoch.CompareAndSwap(old, &next) {
			return
		}
	}
}

// read returns the generation at now, and whether no lease is alive on it.
func (s *localShard) read(r Resource, now time.Time) (id ID, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.generation(r)
	if g.due(now) {
		g = g.elapse(NewID(), now)
		s.put(r, g)
	}
	return g.id, len(g.leases) == 0
}

// generation returns the state of r. For it and put, the caller must hold mu.
func (s *localShard) generation(r Resource) generation {
	id, _ := s.ids.Get(r)
	return generation{id: id, leases: s.leases[r]}
}

func (s *localShard) put(r Resource, g generation) {
	s.ids.Put(r, g.id)
	if len(g.leases) == 0 {
		delete(s.leases, r)
		return
	}
	s.leases[r] = g.leases
}

// begin reports whether there was room for the lease.
func (s *localShard) begin(r Resource, writer ID, now, until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.leases[r]; !ok && len(s.leases) >= s.leased && !s.sweep(now) {
		return false
	}
	s.put(r, s.generation(r).begin(NewID(), writer, now, until))
	return true
}

func (s *localShard) end(r Resource, writer ID, changed bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(r, s.generation(r).end(NewID(), writer, changed, now))
}

// sweep drops the resources whose leases have all run out, with their generations, and
// reports whether that made room.
func (s *localShard) sweep(now time.Time) bool {
	if s.full.After(now) {
		return false
	}
	s.full = time.Time{}
	for r, held := range s.leases {
		last := lastEnd(held)
		if !last.After(now) {
			s.put(r, generation{id: NewID()})
			continue
		}
		if s.full.IsZero() || last.Before(s.full) {
			s.full = last
		}
	}
	if len(s.leases) < s.leased {
		s.full = time.Time{}
		return true
	}
	return false
}

func lastEnd(leases []lease) (end time.Time) {
	for _, l := range leases {
		if l.until.After(end) {
			end = l.until
		}
	}
	return end
}
