package metrics

import "time"

// Sources contains functions that return counts of other packages. [Metrics] calls them
// at each scrape, as [Gauges]. A nil function is not shown. The functions are called by
// many goroutines at once and must not block. The parameters result, event, decision,
// refusal, plane and connection are labels, so their values come from closed lists.
type Sources struct {
	Identities func(report func(result string, n int64)) // identifications of callers since the start
	// each control plane called so far: "closed", "half-open" or "open"
	Planes     func(report func(plane, breaker string))
	Regions    func(report func(plane, region, breaker string)) // each region of Object Store called so far: the same
	Redis      func(report func(connection string, r Redis))    // each connection to Redis
	Statistics func() Statistics                                // state of the statistics
	Searches   func(report func(result string, n int64))        // results of searches for stores since the start
	Pauses     func(report func(event string, n int64))         // events after 429s of upstream since the start
	Calls      func(report func(decision string, n int64))      // Access Management calls since the start
	AdminTries func(report func(refusal string, n int64))       // wrong tokens at the admin listener since the start
	Policy     func() Policy                                    // the rules in force
	Slots      func() Slots                                     // slots of exchanges
	LogLost    func() int64                                     // lines of the log that were lost since the start

	// Brokering reports, for each of the gateway's own credentials, issuers and files of
	// client certificates, whether it has a fault.
	Brokering func(report func(part, name string, fault bool))
	// Refusals reports the refused credentials that are no Anypoint tokens since the
	// start. Methods and reasons come from closed lists.
	Refusals func(report func(method, reason string, n int64))

	Connections func(report func(listener string, c Connections)) // each listener
}

// Redis contains the counts of a connection to Redis.
type Redis struct {
	Breaker        string // "closed", "half-open" or "open"
	Open, Idle     int64  // connections
	TimedOut       int64  // timeouts of waiting for a connection, since the start
	Skipped        int64  // round trips not made because Redis was known to be down, since the start
	Reused, Dialed int64  // round trips over an idle connection, and over a new one, since the start
	Stale          int64  // connections closed because they were broken or too old, since the start
}

// Slots contains the counts of the slots of exchanges.
type Slots struct {
	// Exchanges that hold a slot now. Refused ones have separate slots while their
	// answers are written and the rest of their requests is read.
	Identified, Unidentified, Refused int64

	// The limits: of all exchanges, of unidentified ones, of refused ones.
	Limit, UnidentifiedLimit, RefusedLimit int64

	// Exchanges without a slot since the start, by the limit that was reached: of all
	// exchanges, of unidentified ones, of one address, and of refused ones.
	ShortOfAll, ShortOfUnidentified, ShortOfAddress, ShortOfRefused int64
}

// Statistics is the state of writing counts to their store.
type Statistics struct {
	Lag     time.Duration // time since all counts were last written
	Series  int64         // kept in memory
	Waiting int64         // passed to the store and not yet acknowledged
	// exchanges counted only for their region or organization, and not at all, since
	// the start
	Coarsened, Dropped int64
	Lost               int64 // operations in statistics files that were damaged or replaced, since the start
}

// Policy is the state of the policy rules.
type Policy struct {
	Rules  int64     // in force
	Shadow int64     // those of Rules in shadow mode
	Loaded time.Time // when they were read; zero: there are no rules
	Stale  bool      // the last attempt to read newer ones failed
}

// breakers maps the states of a circuit breaker to numbers.
var breakers = map[string]int64{"closed": 0, "half-open": 1, "open": 2} //nolint:gochecknoglobals // a table
