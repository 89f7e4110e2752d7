package coherence

import (
	"context"
	"crypto/sha256"
	"time"
)

// SharedGrants shares the grants of tokens between the caches of one deployment. It
// uses the same store as their [Tracker], so that grants are read together with the
// generations. [*RedisGrants] implements it. Tokens must have the same hash in all
// replicas. It may drop any grant at any time. It is safe for concurrent use.
type SharedGrants interface {
	// ReadFor is [Tracker].Read with the [TokenInfo] of key in the reading.
	ReadFor(ctx context.Context, on Resources, key GrantKey) (Reading, error)

	// StartReadFor is [ReadStarter].StartRead for a ReadFor.
	StartReadFor(ctx context.Context, on Resources, key GrantKey) (context.Context, PendingRead)

	// Publish stores a grant that was given under the id. Shared and sent are the time
	// when its request was sent, by the clock of a TokenInfo and by the local clock. It
	// does not wait, and the grant may be lost. It has no effect if the token has
	// another id by now.
	Publish(key GrantKey, id ID, shared, sent time.Time)

	// Revoke gives key's token the id, which revokes all its grants; key's Target is
	// ignored. It waits at most as long as one round trip may take. If it fails, it is
	// tried again later.
	Revoke(ctx context.Context, key GrantKey, id ID)
}

// GrantKey is the name of a token and of the reads for which it may hold a grant.
// The fields are digests over the token's keyed hash, so they cannot be guessed without
// it.
type GrantKey struct {
	Token, Target [sha256.Size]byte
	TTL           time.Duration // how long a grant lives
}

// TokenInfo is the state of a token in [SharedGrants]. The zero value means that the
// state is not known.
type TokenInfo struct {
	ID          ID        // the token's
	RequestedAt time.Time // when the grant's request was sent, by the local clock, rounded down; zero: no grant
	Clock       time.Time // the clock of the shared store when it answered

	Began, Ended time.Time // when the read began and ended, by the local clock
}
