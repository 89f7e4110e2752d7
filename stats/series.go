package stats

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
)

// series is a unit counted separately in memory: a scope in one hour.
type series struct {
	scope Scope
	hour  int64 // hours since the Unix epoch
}

// clone returns a copy that does not keep in memory the request from which the names
// were cut.
func (k *series) clone() series {
	return series{hour: k.hour, scope: Scope{
		Plane:        strings.Clone(k.scope.Plane),
		Organization: strings.Clone(k.scope.Organization),
		Environment:  strings.Clone(k.scope.Environment),
		Region:       strings.Clone(k.scope.Region),
		Store:        strings.Clone(k.scope.Store),
	}}
}

// hash distributes series over shards and cells. It leaves out plane and region,
// because few environments differ only in these, and hashing is most of the cost of
// counting.
func (k *series) hash(seed maphash.Seed) uint64 {
	h := maphash.String(seed, k.scope.Store)
	h = bits.RotateLeft64(h, 16) ^ maphash.String(seed, k.scope.Environment)
	h = bits.RotateLeft64(h, 16) ^ maphash.String(seed, k.scope.Organization)
	return h + uint64(k.hour)
}

// cell counts one series until the next flush. It is kept after a flush, so that a busy
// series costs no allocation.
type cell struct {
	series series
	next   *cell // of the same hash
	counts Counts
	dirty  bool // whether counts is not zero
}

// tally holds the counts of a series since the last flush.
type tally struct {
	series series
	counts Counts
}

// shard is one part of the counter's memory. It is divided so that a flush never delays
// all exchanges.
type shard struct {
	mu    sync.Mutex // guards the fields below
	cells map[uint64]*cell
	dirty []*cell
}

// add counts n in k, whose hash is h. It returns false if k is new and held, the number
// of cells in all shards, has reached limit.
func (s *shard) add(k *series, h uint64, n *Counts, held *atomic.Int64, limit int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cells[h]
	for c != nil && c.series != *k {
		c = c.next
	}
	if c == nil {
		if held.Add(1) > limit {
			held.Add(-1)
			return false
		}
		c = &cell{series: k.clone(), next: s.cells[h]}
		s.cells[h] = c
	}
	c.counts.Add(*n)
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
	return true
}

// drain appends up to limit tallies to all and zeroes them.
func (s *shard) drain(all []tally, limit int) []tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(limit, len(s.dirty))
	for _, c := range s.dirty[:n] {
		all = append(all, tally{series: c.series, counts: c.counts})
		c.counts, c.dirty = Counts{}, false
	}
	left := copy(s.dirty, s.dirty[n:])
	clear(s.dirty[left:])
	s.dirty = s.dirty[:left]
	return all
}

// unwritten returns the number of operations counted and not drained, and the number of
// their series.
func (s *shard) unwritten() (operations uint64, series int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.dirty {
		operations += c.counts.operations()
	}
	return operations, len(s.dirty)
}
