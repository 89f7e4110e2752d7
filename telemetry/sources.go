package telemetry

import "time"

// Sources are numbers that other parts keep and that [Metrics] reads at each scrape, beside [Gauges]. A nil field is not shown. The functions are called
// by many goroutines at once and must not wait. What they tell as result, event, decision, refusal, plane or connection is a label: closed lists.
type Sources struct {
	Identities func(tell func(result string, n int64))        // how callers were identified since the start
	Planes     func(tell func(plane, breaker string))         // each control plane asked so far: "closed", "half-open" or "open"
	Regions    func(tell func(plane, region, breaker string)) // each region of Object Store asked so far: likewise
	Redis      func(tell func(connection string, r Redis))    // each connection to Redis
	Statistics func() Statistics                              // how counts get to their store
	Searches   func(tell func(result string, n int64))        // how searches for stores ended since the start
	Pauses     func(tell func(event string, n int64))         // what followed from upstream's 429s since the start
	Calls      func(tell func(decision string, n int64))      // what became of Access Management calls since the start
	AdminTries func(tell func(refusal string, n int64))       // wrong tokens at the admin listener since the start
	Policy     func() Policy                                  // the rules in force
	Slots      func() Slots                                   // how many exchanges hold the room there is
	Log        func() LogState                                // how lines of the log get to their writer

	Connections func(tell func(listener string, c Connections)) // each listener
}

// Redis is how a connection to Redis fares.
type Redis struct {
	Breaker        string // "closed", "half-open" or "open"
	Open, Idle     int64  // connections
	TimedOut       int64  // waits for a connection in vain, since the start
	Skipped        int64  // round trips that were not made because it was known to be down, since the start
	Reused, Dialed int64  // round trips over an idle connection, and over a new one, since the start
	Stale          int64  // connections closed because they had died or were too old, since the start
}

// Slots are how many exchanges hold the room that there is for them.
type Slots struct {
	// Exchanges that hold a slot now. Refused ones hold slots of their own while their
	// answers are written and the rest of their requests is read.
	Identified, Unidentified, Refused int64

	// How many may: in all, of those that are not identified, of refused ones.
	Limit, UnidentifiedLimit, RefusedLimit int64

	// Exchanges that got no slot since the start, by what there was too little of: slots,
	// slots for those that are not identified, those of one address, and those for refused
	// ones.
	ShortOfAll, ShortOfUnidentified, ShortOfAddress, ShortOfRefused int64
}

// Statistics is how counts get to their store.
type Statistics struct {
	Lag                time.Duration // since everything counted was last written
	Series             int64         // counted apart in memory
	Waiting            int64         // handed to the store and not yet acknowledged
	Coarsened, Dropped int64         // exchanges counted for their region or organization only, and not at all, since the start
	Lost               int64         // operations in statistics files that were given up, since the start
}

// Policy is what rules are in force.
type Policy struct {
	Rules  int64     // in force
	Shadow int64     // of them those in shadow mode
	Loaded time.Time // when they were read; zero: there are none
	Stale  bool      // the last attempt to read newer ones failed
}

// breakers are the states of a circuit breaker as numbers.
var breakers = map[string]int64{"closed": 0, "half-open": 1, "open": 2} //nolint:gochecknoglobals // a table
