package cache

// WriteOutcome is what is known of a write when its exchange is over.
type WriteOutcome uint8

const (
	// Unknown: the write may have taken effect, or may yet. Its lease stays until it
	// runs out.
	Unknown WriteOutcome = iota
	// Applied: upstream answered 2xx. A confirmable operation may still roll back by
	// itself, so that it keeps its lease.
	Applied
	// Mismatched: upstream judged the write by the state of the store and changed
	// nothing. The lease is given back. What is cached may be older than what upstream
	// saw, as with a key that it has expired: it is served no more.
	Mismatched
	// Refused: the write had no effect and never will, and its answer is not about the
	// state of the store, or the write was never sent. The lease is given back, and
	// what is cached is served again.
	Refused

	writeOutcomes = 4
)

// String returns the outcome as a word for metrics.
func (o WriteOutcome) String() string {
	return [...]string{"unknown", "applied", "mismatched", "refused"}[o]
}
