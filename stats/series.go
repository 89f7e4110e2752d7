package stats

import (
	"strings"
	"sync"
	"sync/atomic"
)

// series is what is counted apart in memory: a scope in one hour.
type series struct {
	scope Scope
	hour  int64 // hours since the Unix epoch
}

// clone returns a copy that does not keep alive the request that the names were cut from.
func (k series) clone() series {
	s := &k.scope
	for _, name := range []*string{&s.Plane, &s.Organization, &s.Environment, &s.Region, &s.Store} {
		*name = strings.Clone(*name)
	}
	return k
}

// coarser returns the series that k counts into when there is no room for its own: its region's, then its organization's.
func (k series) coarser() (series, bool) {
	switch {
	case k.scope.Store != "":
		k.scope.Store = ""
	case k.scope.Environment != "":
		k.scope = k.scope.organization()
	default:
		return series{}, false
	}
	return k, true
}

// cell counts one series until the next flush. It is kept when it has been flushed, so that a busy series costs no
// allocation.
type cell struct {
	series series
	counts Counts
	dirty  bool // counts hold something
}

// tally is what was counted in a series since the last flush.
type tally struct {
	series series
	counts Counts
}

// shard is one part of the counter's memory. The parts exist so that a flush never holds up all exchanges.
type shard struct {
	mu    sync.Mutex // guards all below
	cells map[series]*cell
	dirty []*cell
}

// add counts n in k. It returns false where k is new and held, the number of cells of all shards, is at limit.
func (s *shard) add(k series, n Counts, held *atomic.Int64, limit int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cells[k]
	if c == nil {
		if held.Add(1) > limit {
			held.Add(-1)
			return false
		}
		c = &cell{series: k.clone()}
		s.cells[c.series] = c
	}
	c.counts.Add(n)
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

// forget drops the cells of hours before that one that hold nothing.
func (s *shard) forget(before int64, held *atomic.Int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, c := range s.cells {
		if !c.dirty && k.hour < before {
			delete(s.cells, k)
			held.Add(-1)
		}
	}
}
