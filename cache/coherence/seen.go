package coherence

import (
	"encoding/binary"
	"sync/atomic"
)

// seenResources remembers resources whose generations Redis has returned. A read of
// these is a transaction; a read of others is the script, which makes the generations
// that are missing: the transaction could not answer it, and would cost a round trip.
//
// Each resource has one place, which others share; the last one keeps it. So the memory
// is 2 MiB at most. A wrong guess costs a round trip or time of Redis, and has no effect
// on the reading. It is safe for concurrent use.
type seenResources [1 << 18]atomic.Uint64

// add remembers the resources of a reading.
func (s *seenResources) add(on *Resources) {
	for i := range on.n {
		place, mark := s.placeOf(&on.list[i])
		if place.Load() != mark { // a read that is repeated writes nothing
			place.Store(mark)
		}
	}
}

// drop forgets the resources of a read that needs the script.
func (s *seenResources) drop(on *Resources) {
	for i := range on.n {
		if place, mark := s.placeOf(&on.list[i]); place.Load() == mark {
			place.Store(0)
		}
	}
}

// all reports whether all resources are remembered.
func (s *seenResources) all(on *Resources) bool {
	for i := range on.n {
		if place, mark := s.placeOf(&on.list[i]); place.Load() != mark {
			return false
		}
	}
	return true
}

// placeOf returns the place of a resource, and the mark that stands for it, which is
// never 0.
func (s *seenResources) placeOf(r *Resource) (place *atomic.Uint64, mark uint64) {
	first, second := binary.LittleEndian.Uint64(r.Hash[:8]), binary.LittleEndian.Uint64(r.Hash[8:16])
	return &s[first%uint64(len(s))], (first ^ second) | 1
}
