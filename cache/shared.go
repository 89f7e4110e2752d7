package cache

import (
	"context"
	"crypto/sha256"

	"osgate/cache/coherence"
)

// Shared shares entries between the caches of one deployment. [*SharedBodies]
// implements it. It may drop any entry at any time. An entry that it cannot read, or
// does not receive in time, is a miss. It is safe for concurrent use.
type Shared interface {
	// Find returns the entry that was kept under the name, with its present age or a
	// little more. It returns nil if there is none. It waits at most as long as one
	// round trip may take.
	Find(ctx context.Context, name [32]byte) *Entry

	// Keep keeps the entry under the name for as long as it is fresh. It does not wait,
	// and it may drop the entry.
	Keep(name [32]byte, e *Entry)

	// Stats returns its counts.
	Stats() SharedStats
}

// SharedStats are the counts of a [Shared] since it was made.
type SharedStats struct {
	Kept    int64 // entries written
	Dropped int64 // entries not written, because there was no room or the shared store was unavailable
	// Entries found that were forged, damaged or of another version; those of another
	// secret have other names.
	Unreadable int64
}

// sharedName returns the name of the answer to a question in one state. An answer that
// a write has made invalid has a name that no later read uses.
func sharedName(key digest, stamp *coherence.Stamp) digest {
	b := make([]byte, 0, 160)
	b = append(appendPart(b, "osgate shared body 1"), key[:]...)
	b = append(b, stamp.Epoch[:]...)
	for i := range stamp.Generations {
		b = append(b, stamp.Generations[i][:]...)
	}
	return sha256.Sum256(b)
}
