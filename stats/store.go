package stats

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable is in the chain of every error of a [Store] that cannot be read or written just now: the caller may try again.
var ErrUnavailable = errors.New("statistics store unavailable")

// Store keeps counts by scope, period and bucket, the names seen, and which organization is below which. Implementations are [Redis],
// [Bolt] and [Memory]; all methods are safe for concurrent use and bounded in time by the implementation as well as by ctx.
//
// A store keeps what it was given for at least the vendor's retention (3 months of hours, 12 of days, 24 of months, reckoned from the hours
// that batches carry) and may keep it longer: queries leave out what is too old.
type Store interface {
	// MaxEntries is how many entries a batch may have at most, so that applying it keeps the store busy for a few milliseconds only.
	MaxEntries() int

	// Apply adds batches, each of them whole or not at all, and answers for each by an error at its index. Nil means that it is
	// written as safely as the store can. Any error means that it may or may not have been applied: the caller hands in the same
	// batch again, unchanged, before any other of that organization and process. A batch whose sequence number is not above the
	// last one applied for its process and organization is acknowledged without being applied.
	Apply(ctx context.Context, batches []*Batch) []error

	// Counts returns one number for each scope and each bucket of period p beginning at starts, 0 where nothing was counted.
	Counts(ctx context.Context, q CountsQuery) ([][]uint64, error)

	// Names returns the names of the scopes right below scope that were counted in at or after the hour of since, in no
	// particular order.
	Names(ctx context.Context, scope Scope, since time.Time) ([]string, error)

	// SaveTree adds to what is known that t.Subs are sub-organizations of t.Root. What was known stays.
	SaveTree(ctx context.Context, t Tree) error

	// Tree returns what is known of an organization: with Root another one, it is a sub-organization; else Subs are its
	// sub-organizations, none where nothing is known.
	Tree(ctx context.Context, plane, organization string) (Tree, error)
}

// CountsQuery says which numbers to read: those of one measure in the buckets of one period that begin at Starts, for each of Scopes.
type CountsQuery struct {
	Scopes  []Scope
	Period  Period
	Starts  []time.Time
	Measure Measure
}

// Tree is a root organization of a plane and the sub-organizations below it, at whatever depth.
type Tree struct {
	Plane string
	Root  string
	Subs  []string
}
