package coherence

import "iter"

// Resource is the name of one thing whose change makes cached answers invalid: a key at
// one location, its partition, a list. It is a hash and reveals nothing about the
// thing.
type Resource struct {
	// Below Slots; the same for all resources of one store, so that a shared store can
	// keep them in one place.
	Slot uint8
	Hash [32]byte
}

// Slots is the number of groups of resources.
const Slots = 64

// maxResources is the largest number of resources that an operation depends on or
// touches (k p s, k pk ps; see objectstore's table).
const maxResources = 3

// Resources is a small set of resources. It is a plain value, comparable and safe to
// copy.
type Resources struct {
	list [maxResources]Resource
	n    int
}

// Of returns the set of these resources, the widest first. There must be three at most.
func Of(resources ...Resource) (rs Resources) {
	rs.n = copy(rs.list[:], resources)
	return rs
}

// Len returns the number of resources, three at most.
func (rs Resources) Len() int { return rs.n }

// All yields the resources with their index, the widest first.
func (rs Resources) All() iter.Seq2[int, Resource] {
	return func(yield func(int, Resource) bool) {
		for i := range rs.n {
			if !yield(i, rs.list[i]) {
				return
			}
		}
	}
}

// slots yields the ranges of resources that are next to each other in one slot.
func (rs *Resources) slots() iter.Seq2[int, int] {
	return func(yield func(from, to int) bool) {
		for from := 0; from < rs.n; {
			to := from + 1
			for to < rs.n && rs.list[to].Slot == rs.list[from].Slot {
				to++
			}
			if !yield(from, to) {
				return
			}
			from = to
		}
	}
}

// Overlaps reports whether rs and other have a resource in common.
func (rs *Resources) Overlaps(other *Resources) bool {
	for i := range rs.n {
		for j := range other.n {
			if rs.list[i] == other.list[j] {
				return true
			}
		}
	}
	return false
}
