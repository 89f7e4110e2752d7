package telemetry

// windowSeconds is how far back the board looks.
const windowSeconds = 60

// counter is what is counted for each second and since the start.
type counter uint8

// The counters; those of outcomes are their own numbers, those of codes begin at firstCode.
const (
	received counter = counter(outcomes) + iota // bytes
	transmitted
	asked   // requests sent upstream
	asking  // billing units that Object Store was asked for
	lookups // cacheable reads
	spared  // requests answered without asking upstream
	sparing // billing units of those
	firstCode
	counters = firstCode + maxCodes
)

// maxCodes bounds how many of the gateway's problem codes are counted apart; there are fewer. The last counts all that did not fit.
const maxCodes = 32

// timing is one of the durations whose quantiles are kept.
type timing uint8

const (
	timeAll      timing = iota // of every exchange
	timeHit                    // of those answered from the cache
	timeUpstream               // upstream's part of those that were forwarded
	timings
)

// second is what was counted within one second.
type second struct {
	counts  [counters]int64
	timings [timings]histogram
}

// window holds the second that is running and the windowSeconds before it, numbered since the board's start. It is not safe for concurrent use.
type window struct {
	seconds [windowSeconds + 1]second
	newest  int64
}

// at returns the second of that number, emptied if it is new. What comes late is counted to the newest one.
func (w *window) at(n int64) *second {
	w.advance(n)
	return &w.seconds[w.newest%int64(len(w.seconds))]
}

// advance makes room for second n, emptying all that lie between.
func (w *window) advance(n int64) {
	for from := max(w.newest+1, n-int64(len(w.seconds))+1); from <= n; from++ {
		w.seconds[from%int64(len(w.seconds))] = second{}
	}
	w.newest = max(w.newest, n)
}

// sum adds up the complete seconds from (now - back) to (now - 1).
func (w *window) sum(now, back int64) *second {
	w.advance(now)
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
