package cache

import (
	"context"
	"time"
)

// Coherence knows what is being written. It is the storage contract of the package's protocol (protocol.go): in process by
// [NewLocalCoherence], over replicas by [NewRedisCoherence].
//
// Methods are safe for concurrent use and called on the path of a request, so they answer within the store's own hard bound or fail.
// An error of Read means that nothing is known: the request goes upstream past the cache. An error of Mark means that readers may not
// learn of the write; the caller decides whether it goes on.
type Coherence interface {
	// Read returns the stamp under which an answer that depends on these resources is found, and under which one that is fetched from
	// now on may be stored.
	Read(ctx context.Context, on Resources) (Reading, error)

	// Mark holds a lease on the resources for the writer, for so long from the moment
	// of the call at the least. A lease that runs out gives the resources new
	// generations; a lease of 0 does so at once. Mark returns only when readers
	// everywhere see it; after an error some may. To mark again under the same writer
	// renews the lease, and an error of that leaves the lease there was. The zero
	// writer's lease cannot be given back.
	Mark(ctx context.Context, on Resources, writer ID, lease time.Duration) error

	// Release gives the writer's lease back. Changed says that the write may have
	// changed something: the resources get new generations. Else they keep those that
	// they have. Release does not wait; one that is lost leaves the lease to run out,
	// which is safe.
	Release(on Resources, writer ID, changed bool)

	// Settled returns for how many leases there was no room since the start. Each of
	// them has kept everything that is beside it past the cache for as long as the
	// lease would have lasted.
	Settled() int64

	// Reset makes every entry stored so far unservable. Leases stay.
	Reset(ctx context.Context) error
}

// ReadStarter is a [Coherence] whose Read can travel with what else is asked of the same store for the same request, so that the request
// waits once for both. What needs no journey, such as the coherence in process, is none.
type ReadStarter interface {
	// StartRead begins a Read: every round trip that is made with the returned context takes the question along, and the errand's Read
	// ends it.
	StartRead(ctx context.Context, on Resources) (context.Context, PendingRead)
}

// PendingRead is a Read under way. It belongs to one goroutine at a time, the one that uses its context.
type PendingRead interface {
	// Read returns what the latest round trip brought: a reading, or the error that the store is away. Where none was made, or the
	// question could not be put, it asks by itself as [Coherence].Read does.
	//
	// What was brought may be older than the call by as long as the request has waited since, for its turn as an example. It is true
	// all the same: the state of the store at an instant after the request began is one that the request may see, and a fetch that
	// begins after the call begins after that instant.
	Read(ctx context.Context) (Reading, error)
}

// Reading is what [Coherence].Read found.
type Reading struct {
	Stamp Stamp
	// Closed is why nothing may be served, stored or shared now, as a token for Cache-Status: "write-in-flight", "settling".
	// Empty: all of it may be.
	Closed string
	// TokenInfo is what [SharedGrants] says of the holder, where one was asked about.
	TokenInfo TokenInfo
}

// The reasons of a closed reading.
const (
	closedByWrite    = "write-in-flight"
	closedBySettling = "settling"
)
