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
// A store keeps what it was given for at least the vendor's retention (3 months of hours, 12 of days, 24 of months) and may keep it longer: queries
// leave out what is too old. It believes no single batch that says it is much later than it was: see [Redis], [Bolt] and [Memory].
type Store interface {
	// MaxEntries is how many entries a batch may have at most, so that applying it keeps the store busy for a few milliseconds only.
	MaxEntries() int

	// Apply adds batches, each of them whole or not at all, and answers for each by an error at its index. Nil means that it is
	// written as safely as the store can. Any error means that it may or may not have been applied: the caller hands in the same
	// batch again, unchanged, before any other of that organization and process. A batch whose sequence number is not above the
	// last one applied for its process and organization is acknowledged without being applied.
	Apply(ctx context.Context, batches []*Batch) []error

	// Counts returns, for each scope of q and each of its buckets, the measures asked for; 0 where nothing was counted, and for the
	// other measures.
	Counts(ctx context.Context, q CountsQuery) ([][]Counts, error)

	// Names returns the names of the scopes right below scope that were counted in at or after the hour of since, the latest first.
	Names(ctx context.Context, scope Scope, since time.Time) ([]string, error)

	// Organizations returns the organizations that were counted in at or after the hour of since, the latest first and limit at
	// most. A store may forget those of the longest ago where they are more than 10,000, and tells of those counted in before it knew of this
	// question only when they are counted in again.
	Organizations(ctx context.Context, since time.Time, limit int) ([]Scope, error)

	// SaveTree adds to what is known that t.Subs are sub-organizations of t.Root. What was known stays; with an empty Root, also the
	// root of those of which it is known.
	SaveTree(ctx context.Context, t Tree) error

	// Tree returns what is known of an organization: with Root another one or empty, it is a sub-organization; else Subs are its
	// sub-organizations, none where nothing is known.
	Tree(ctx context.Context, plane, organization string) (Tree, error)
}

// CountsQuery says which numbers to read: Measures of the buckets of one period that begin at Starts, in order of time, for each of Scopes.
type CountsQuery struct {
	Scopes   []Scope
	Period   Period
	Starts   []time.Time
	Measures []Measure
}

// maxKnown is how many organizations a store remembers at least.
const maxKnown = 10_000

// Tree is a root organization of a plane and the sub-organizations below it, at whatever depth.
type Tree struct {
	Plane string
	Root  string // empty: not known
	Subs  []string
}
