package coherence

import (
	"context"
	"time"
)

// MaxAge is the longest time for which an entry may be served under the stamp that was
// read for it.
const MaxAge = time.Hour

// Tracker keeps track of the writes under way. It is the storage contract of the
// package's protocol (protocol.go). [NewLocal] keeps it in one process,
// [NewRedis] over all replicas.
//
// Methods are safe for concurrent use. They are called while a request waits, so they
// return within the store's own hard time limit or fail. An error of Read means that
// the state is not known: the request bypasses the cache. An error of Mark means that
// readers may not learn of the write; the caller decides whether to send it.
type Tracker interface {
	// Read returns the stamp of an answer that depends on these resources: entries with
	// this stamp may be served, and an answer that is fetched from now on is stored
	// under it.
	Read(ctx context.Context, on Resources) (Reading, error)

	// Mark holds a lease on the resources for the writer, at least for the given time
	// from the moment of the call. A lease that runs out gives the resources new
	// generations; a lease of 0 does so at once. nil means that the write may be
	// sent: readers on all replicas see the mark, or Redis failed, which is not strict, the
	// write is remembered, and this gateway alone bypasses its cache. After an error some
	// may see it. To mark again under the same
	// writer renews the lease, and an error of that leaves the old lease. The zero
	// writer's lease cannot be given back.
	Mark(ctx context.Context, on Resources, writer ID, lease time.Duration) error

	// Release gives the writer's lease back. If changed is true, the write may have
	// changed something, and the resources get new generations; otherwise they keep
	// those that they have. Release does not wait. If it is lost, the lease runs out,
	// which is safe.
	Release(on Resources, writer ID, changed bool)

	// Settled returns the number of leases since the start for which there was no room.
	// Each of them has kept all reads of its part of the store from the cache for as
	// long as the lease would have lasted.
	Settled() int64

	// Reset makes every entry stored so far unservable. Leases stay.
	Reset(ctx context.Context) error
}

// ReadStarter is a [Tracker] that can send its Read along with other commands of the
// same request to the same store, so that the request waits once for both. A Tracker
// that needs no round trip, such as the one in process, does not implement it.
type ReadStarter interface {
	// StartRead begins a Read. Every round trip that is made with the returned context
	// sends the read along. The Read method of the PendingRead completes it.
	StartRead(ctx context.Context, on Resources) (context.Context, PendingRead)
}

// PendingRead is a Read under way. It belongs to one goroutine at a time, the one that
// uses its context.
type PendingRead interface {
	// Read returns the result of the latest round trip: a reading, or the error that
	// the store is unavailable. If no round trip was made, or the read could not be
	// sent along, it reads by itself as [Tracker].Read does.
	//
	// The result may be as old as the time that the request has waited since, for
	// example for its quota. It is still valid: the request may see the state of the
	// store at any instant after the request began, and a fetch that begins after the
	// call begins after that instant.
	Read(ctx context.Context) (Reading, error)
}

// Reading is the result of [Tracker].Read.
type Reading struct {
	Stamp Stamp
	// Closed is the reason not to serve, store or share an entry now, as a token for
	// Cache-Status: "write-in-flight", "settling". Empty: the cache may be used.
	Closed string
	// TokenInfo is the state of the token in [SharedGrants], if the read included it.
	TokenInfo TokenInfo
}

// The reasons of a closed reading.
const (
	closedByWrite    = "write-in-flight"
	closedBySettling = "settling"
)
