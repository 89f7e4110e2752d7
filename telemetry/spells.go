package telemetry

import "time"

// slotSeconds is how long a slot is: the step in which is told what need not be told by the second.
const slotSeconds = 5

// windowSlots is how many slots the board's window has.
const windowSlots = windowSeconds / slotSeconds

// spell is what was asked of some part within one slot.
type spell struct {
	asked, failed int64
	took          histogram
}

func (s *spell) add(took time.Duration, failed bool) {
	s.asked++
	if failed {
		s.failed++
	}
	s.took.add(took)
}

// spells hold the slot that is running and those of the minute before it. They are not safe for concurrent use.
type spells struct {
	held   [windowSlots]spell
	newest int64
}

// at returns the slot of that number, emptied if it is new. What comes late is counted to the newest one.
func (s *spells) at(n int64) *spell {
	s.advance(n)
	return &s.held[s.newest%windowSlots]
}

// advance makes room for slot n, emptying all that lie between.
func (s *spells) advance(n int64) {
	for from := max(s.newest+1, n-windowSlots+1); from <= n; from++ {
		s.held[from%windowSlots] = spell{}
	}
	s.newest = max(s.newest, n)
}

// sum adds up the last minute at slot n: of it 55 to 60 seconds, the running slot included, so that news is not late.
func (s *spells) sum(n int64) *spell {
	s.advance(n)
	total := &spell{}
	for i := range s.held {
		total.asked += s.held[i].asked
		total.failed += s.held[i].failed
		total.took.merge(&s.held[i].took)
	}
	return total
}
