package record

import (
	"iter"
	"time"
)

// maxVisits is the maximum number of recorded visits. A request that upstream refuses
// repeatedly goes back and forth between limit and forward.
const maxVisits = 16

// Timeline records when an exchange entered its stages, in microseconds since its
// start, without allocating. The zero Timeline is in [StageLocate] since 0. If it is
// full, further stages count to the last visit.
type Timeline struct {
	stages [maxVisits]Stage
	starts [maxVisits]uint32 // microseconds
	last   uint8
}

// Enter records that stage s begins at the given time after the start of the exchange.
func (t *Timeline) Enter(s Stage, after time.Duration) {
	if t.stages[t.last] == s || int(t.last) == maxVisits-1 {
		return
	}
	t.last++
	t.stages[t.last], t.starts[t.last] = s, uint32(after/time.Microsecond) // up to 71 minutes; exchanges are shorter
}

// Visits returns the stages in order, each with the time after the exchange's start at
// which it was entered.
func (t *Timeline) Visits() iter.Seq2[Stage, time.Duration] {
	return func(yield func(Stage, time.Duration) bool) {
		for i := range int(t.last) + 1 {
			if !yield(t.stages[i], time.Duration(t.starts[i])*time.Microsecond) {
				return
			}
		}
	}
}
