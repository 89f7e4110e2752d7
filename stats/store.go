package stats

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable is in the chain of every error of a [Store] that cannot be read or
// written at the moment. The caller may try again.
var ErrUnavailable = errors.New("statistics store unavailable")

// Store keeps counts by scope, period and bucket, the names seen, and the trees of
// organizations. Implementations are [Redis], [Bolt] and [Memory]. All methods are safe
// for concurrent use, and their time is bounded by the implementation as well as by
// ctx.
//
// A store keeps counts for at least the vendor's retention (3 months of hours, 12 of
// days, 24 of months) and may keep them longer: queries leave out counts that are too
// old. It does not trust a single batch that is much later than the batches before: see
// [Redis], [Bolt] and [Memory].
type Store interface {
	// MaxEntries returns the maximum number of entries in a batch, so that applying it
	// keeps the store busy for a few milliseconds only.
	MaxEntries() int

	// Apply adds batches, each as a whole or not at all, and returns an error for each
	// at its index. Nil means that the batch is written as safely as the store can. Any
	// error means that it may or may not have been applied: the caller passes the same
	// batch again, unchanged, before any other batch of that organization and process.
	// A batch whose sequence number is not above the last one applied for its process
	// and organization is acknowledged without being applied.
	Apply(ctx context.Context, batches []*Batch) []error

	// Counts returns the requested measures for each scope of q and each of its
	// buckets; 0 without counts, and for the other measures.
	Counts(ctx context.Context, q CountsQuery) ([][]Counts, error)

	// Names returns the names of the scopes directly below scope with counts at or
	// after the hour of since, latest first.
	Names(ctx context.Context, scope Scope, since time.Time) ([]string, error)

	// Organizations returns at most limit organizations with counts at or after the
	// hour of since, latest first. If there are more than 10,000, a store may forget
	// those with the oldest counts. Organizations counted before the store had this
	// list appear only when they are counted again.
	Organizations(ctx context.Context, since time.Time, limit int) ([]Scope, error)

	// SaveTree adds t.Subs to the known sub-organizations of t.Root. Known ones stay.
	// With an empty Root, sub-organizations whose root is already known keep it.
	SaveTree(ctx context.Context, t Tree) error

	// Tree returns the known tree of an organization. If Root is empty or another
	// organization, it is a sub-organization; otherwise Subs are its sub-organizations,
	// empty if none is known.
	Tree(ctx context.Context, plane, organization string) (Tree, error)
}

// CountsQuery identifies the numbers to read: Measures of the buckets of one period
// that begin at Starts, in order of time, for each of Scopes.
type CountsQuery struct {
	Scopes   []Scope
	Period   Period
	Starts   []time.Time
	Measures []Measure
}

// maxKnown is the number of organizations that a store remembers at least.
const maxKnown = 10_000

// Tree is a root organization of a plane and the sub-organizations below it, at any
// depth.
type Tree struct {
	Plane string
	Root  string // empty: unknown
	Subs  []string
}
