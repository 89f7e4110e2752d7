package board

import "osgate/record"

// windowSeconds is the length of the board's window.
const windowSeconds = 60

// counter is an event that is counted for each second and since the start.
type counter uint8

// The counters. Those of outcomes have the outcomes' numbers; those of codes begin at
// firstCode.
const (
	received counter = counter(record.NumOutcomes) + iota // bytes
	transmitted
	upstreamRequests
	upstreamUnits // billing units of Object Store
	lookups       // cacheable reads
	savedRequests // requests answered without a request to upstream
	savedUnits    // billing units of those
	firstCode
	counters = firstCode + maxCodes
)

// maxCodes is the maximum number of problem codes that are counted separately; there
// are fewer. The last one counts the rest.
const maxCodes = 32

// timing is a duration whose quantiles are kept.
type timing uint8

const (
	timeAll      timing = iota // of every exchange
	timeHit                    // of those answered from the cache
	timeUpstream               // the upstream part of forwarded exchanges
	timings
)

// second contains the counts of one second.
type second struct {
	counts  [counters]int64
	timings [timings]histogram
}

// window contains the current second and the windowSeconds before it, numbered since
// the board's start. It is not safe for concurrent use.
type window struct {
	seconds [windowSeconds + 1]second
	newest  int64
}

// at returns the second with that number, cleared if it is new. Late values count to
// the newest one.
func (w *window) at(n int64) *second { return slot(w.seconds[:], &w.newest, n) }

// sum returns the sums of the complete seconds from (now - back) to (now - 1).
func (w *window) sum(now, back int64) *second {
	w.at(now) // clears seconds without exchanges
	total := &second{}
	for n := max(0, now-back); n < now; n++ {
		s := &w.seconds[n%int64(len(w.seconds))]
		for i, v := range s.counts {
			total.counts[i] += v
		}
		for i := range s.timings {
			total.timings[i].merge(&s.timings[i])
		}
	}
	return total
}
