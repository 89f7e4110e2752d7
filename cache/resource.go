package cache

import (
	"crypto/sha256"
	"math/bits"

	"osgate/cache/coherence"
	"osgate/objectstore"
)

// resourcesOf returns the resources of the set, relative to ref at location.
func resourcesOf(location string, ref objectstore.Ref, set objectstore.Resources) coherence.Resources {
	list := make([]coherence.Resource, 0, 3)
	for left := uint8(set); left != 0; left &= left - 1 {
		list = append(list, resourceOf(location, ref, objectstore.Resources(1)<<bits.TrailingZeros8(left)))
	}
	return coherence.Of(list...)
}

func resourceOf(location string, ref objectstore.Ref, one objectstore.Resources) coherence.Resource {
	var room [partsBytes]byte
	b := appendPart(room[:0], "osgate resource 1")
	b = appendPart(append(b, byte(one)), location)
	b = appendPart(b, ref.Organization)
	if one == objectstore.RegionList {
		return coherence.Resource{Slot: slotOf(location, ref.Organization, "", ""), Hash: sha256.Sum256(b)}
	}
	b = appendPart(b, ref.Environment)
	if one == objectstore.StoreList {
		return coherence.Resource{Slot: slotOf(location, ref.Organization, ref.Environment, ""), Hash: sha256.Sum256(b)}
	}
	b = appendPart(b, ref.Store)
	if one == objectstore.Partition || one == objectstore.KeyList || one == objectstore.Key {
		b = appendPart(b, ref.Partition)
	}
	if one == objectstore.Key {
		b = appendPart(b, ref.Key)
	}
	return coherence.Resource{
		Slot: slotOf(location, ref.Organization, ref.Environment, ref.Store), Hash: sha256.Sum256(b),
	}
}

// slotOf returns the slot of a store with these names: FNV-1a, which only needs to
// spread well.
func slotOf(names ...string) uint8 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, name := range names {
		for i := range len(name) {
			h = (h ^ uint64(name[i])) * prime
		}
		h = (h ^ 0xff) * prime
	}
	return uint8((h >> 32) % coherence.Slots)
}
