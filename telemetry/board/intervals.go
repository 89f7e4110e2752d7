package board

import "time"

// intervalSeconds is the length of an interval: the step of all counts that are not
// kept per second.
const intervalSeconds = 5

// windowIntervals is the number of intervals in the board's window.
const windowIntervals = windowSeconds / intervalSeconds

// intervalCounts contains the counts of one interval.
type intervalCounts struct {
	requests, failed int64
	took             histogram
}

func (s *intervalCounts) add(took time.Duration, failed bool) {
	s.requests++
	if failed {
		s.failed++
	}
	s.took.add(took)
}

// intervals contains the current interval and those of the minute before it. It is not
// safe for concurrent use.
type intervals struct {
	held   [windowIntervals]intervalCounts
	newest int64
}

// at returns the interval with that number, cleared if it is new. Late values count to
// the newest one.
func (s *intervals) at(n int64) *intervalCounts { return slot(s.held[:], &s.newest, n) }

// sum returns the sums of the last minute at interval n: of 55 to 60 seconds, including
// the current interval, so that new values appear at once.
func (s *intervals) sum(n int64) *intervalCounts {
	s.at(n) // clears intervals without requests
	total := &intervalCounts{}
	for i := range s.held {
		total.requests += s.held[i].requests
		total.failed += s.held[i].failed
		total.took.merge(&s.held[i].took)
	}
	return total
}
