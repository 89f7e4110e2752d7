package cache

// WriteOutcome is the known effect of a write when its exchange ends.
type WriteOutcome uint8

const (
	// Unknown: the write may have taken effect, or may still do so. Its lease stays
	// until it runs out.
	Unknown WriteOutcome = iota
	// Applied: upstream answered 2xx. A confirmable operation may still roll back by
	// itself, so it keeps its lease.
	Applied
	// Mismatched: upstream refused the write because of the state of the store and
	// changed nothing. The lease is given back. Entries may be older than the state
	// that upstream judged by, for example if upstream has expired the key: they are
	// not served any more.
	Mismatched
	// Refused: the write had no effect and never will, and its answer is not about the
	// state of the store, or the write was never sent. The lease is given back, and the
	// entries are served again.
	Refused

	writeOutcomes = 4
)

// String returns the outcome as a word for metrics.
func (o WriteOutcome) String() string {
	return [...]string{"unknown", "applied", "mismatched", "refused"}[o]
}
