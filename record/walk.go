package record

import (
	"iter"
	"time"
)

// maxVisits bounds how much of a way is kept: a request that upstream refuses again and again goes back and forth between limit and forward.
const maxVisits = 16

// Walk is the way of an exchange through its stages, in microseconds since its start, without allocating. The zero Walk is in [StageLocate] since 0. What
// does not fit belongs to the last visit kept.
type Walk struct {
	stages [maxVisits]Stage
	starts [maxVisits]uint32 // microseconds
	last   uint8
}

// Enter notes that s begins so long after the exchange did.
func (w *Walk) Enter(s Stage, after time.Duration) {
	if w.stages[w.last] == s || int(w.last) == maxVisits-1 {
		return
	}
	w.last++
	w.stages[w.last], w.starts[w.last] = s, uint32(after/time.Microsecond) // 71 minutes; exchanges are shorter
}

// Visits returns the stages in the order of the way, with the instants after the exchange's start at which they were entered.
func (w *Walk) Visits() iter.Seq2[Stage, time.Duration] {
	return func(yield func(Stage, time.Duration) bool) {
		for i := range int(w.last) + 1 {
			if !yield(w.stages[i], time.Duration(w.starts[i])*time.Microsecond) {
				return
			}
		}
	}
}
