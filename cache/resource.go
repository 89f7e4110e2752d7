package cache

import (
	"crypto/sha256"
	"iter"
	"math/bits"

	"osgate/objectstore"
)

// Resource is the name of one thing whose change makes cached answers invalid: a key at
// one location, its partition, a list. It is a hash and reveals nothing about the
// thing.
type Resource struct {
	Slot uint8 // below Slots; the same for all resources of one store, so that a shared store can keep them in one place
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

// overlaps reports whether rs and other have a resource in common.
func (rs *Resources) overlaps(other *Resources) bool {
	for i := range rs.n {
		for j := range other.n {
			if rs.list[i] == other.list[j] {
				return true
			}
		}
	}
	return false
}

// resourcesOf returns the resources of the set, relative to ref at location.
func resourcesOf(location string, ref objectstore.Ref, set objectstore.Resources) (rs Resources) {
	for left := uint8(set); left != 0; left &= left - 1 {
		rs.list[rs.n] = resourceOf(location, ref, objectstore.Resources(1)<<bits.TrailingZeros8(left))
		rs.n++
	}
	return rs
}

func resourceOf(location string, ref objectstore.Ref, one objectstore.Resources) Resource {
	var room [partsBytes]byte
	b := appendPart(room[:0], "osgate resource 1")
	b = appendPart(append(b, byte(one)), location)
	b = appendPart(b, ref.Organization)
	if one == objectstore.RegionList {
		return Resource{Hash: sha256.Sum256(b)}.slotted(location, ref.Organization, "", "")
	}
	b = appendPart(b, ref.Environment)
	if one == objectstore.StoreList {
		return Resource{Hash: sha256.Sum256(b)}.slotted(location, ref.Organization, ref.Environment, "")
	}
	b = appendPart(b, ref.Store)
	if one == objectstore.Partition || one == objectstore.KeyList || one == objectstore.Key {
		b = appendPart(b, ref.Partition)
	}
	if one == objectstore.Key {
		b = appendPart(b, ref.Key)
	}
	return Resource{Hash: sha256.Sum256(b)}.slotted(location, ref.Organization, ref.Environment, ref.Store)
}

// slotted returns r with its slot, computed from names: FNV-1a, which only needs to
// spread well.
func (r Resource) slotted(names ...string) Resource {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, name := range names {
		for i := range len(name) {
			h = (h ^ uint64(name[i])) * prime
		}
		h = (h ^ 0xff) * prime
	}
	r.Slot = uint8((h >> 32) % Slots)
	return r
}
