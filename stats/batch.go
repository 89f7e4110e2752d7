package stats

import (
	"slices"
	"time"
)

// Measure says which of a bucket's numbers is meant. Stores write the numbers in this order, or under a letter of each: none ever changes its
// meaning, and a new one is added at the end. What was written before a measure was added holds 0 of it.
type Measure uint8

// The measures.
const (
	// Client counts all operations that clients were answered 2xx, from the cache too.
	Client Measure = iota
	// Upstream counts the operations that Object Store answered 2xx: what the vendor bills.
	Upstream
	// ClientUnits are the billed units of all that Client counts, as if Object Store had answered them: see record.Exchange.CountedUnits.
	ClientUnits
	// UpstreamUnits are the billed units of all that Upstream counts: see record.Exchange.BilledUnits.
	UpstreamUnits
	measures
)

// String returns the measure's name for messages: "client", "upstream", "client units", "upstream units".
func (m Measure) String() string {
	return [measures]string{"client", "upstream", "client units", "upstream units"}[m]
}

// units returns the measure of the same operations in billed units.
func (m Measure) units() Measure { return m%ClientUnits + ClientUnits }

// Counts is one number for each measure.
type Counts [measures]uint64

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	for m := range c {
		c[m] += other[m]
	}
}

// operations is how many operations c counts: nearly all that Object Store answered, a client was answered too.
func (c Counts) operations() uint64 { return max(c[Client], c[Upstream]) }

// only returns c with nothing but the measures wanted.
func (c Counts) only(wanted []Measure) (some Counts) {
	for _, m := range wanted {
		some[m] = c[m]
	}
	return some
}

// Entry is what happened in one scope in one hour, not yet written at the levels above.
type Entry struct {
	Scope  Scope
	Hour   time.Time // the beginning of the hour, UTC
	Counts Counts
}

// Batch is what one process counted for one organization, to be applied by a [Store] once and whole. It never changes after it was first
// handed to a store.
type Batch struct {
	Process  string  // a random name, new for each start
	Sequence uint64  // from 1, rising with every batch of the process whatever its organization
	Scope    Scope   // the organization
	Entries  []Entry // all within Scope
}

// increment is what a batch adds to one bucket of one scope.
type increment struct {
	bucket
	counts Counts
}

// bucket names one number (or one for each measure) in a store.
type bucket struct {
	scope  Scope
	period Period
	start  int64 // Unix seconds
}

// increments returns what the batch adds at every level and for every period, each bucket once and a scope's after
// those of the scopes around it.
func (b *Batch) increments() []increment {
	var all []increment
	index := make(map[bucket]int)
	for _, e := range b.Entries {
		for scope := range e.Scope.levels() {
			for p := range periods {
				k := bucket{scope: scope, period: p, start: p.Start(e.Hour).Unix()}
				at, ok := index[k]
				if !ok {
					at = len(all)
					index[k] = at
					all = append(all, increment{bucket: k})
				}
				all[at].counts.Add(e.Counts)
			}
		}
	}
	return all
}

// sighting says that a scope was last counted in an hour.
type sighting struct {
	scope Scope
	hour  time.Time
}

// sightings returns every scope below the organization that the batch counts in, with the latest hour.
func (b *Batch) sightings() []sighting {
	var all []sighting
	index := make(map[Scope]int)
	for _, e := range b.Entries {
		for scope := range e.Scope.levels() {
			if scope.Environment == "" {
				continue
			}
			at, ok := index[scope]
			if !ok {
				index[scope] = len(all)
				all = append(all, sighting{scope: scope, hour: e.Hour})
				continue
			}
			if e.Hour.After(all[at].hour) {
				all[at].hour = e.Hour
			}
		}
	}
	return all
}

// latestFirst returns the scopes of the limit sightings that are the latest.
func latestFirst(seen []sighting, limit int) []Scope {
	slices.SortFunc(seen, func(a, b sighting) int { return b.hour.Compare(a.hour) })
	scopes := make([]Scope, min(limit, len(seen)))
	for i := range scopes {
		scopes[i] = seen[i].scope
	}
	return scopes
}

// namesOf returns the last name of each scope.
func namesOf(scopes []Scope) []string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		_, names[i], _ = s.parent()
	}
	return names
}

// operations returns how many operations the batch counts.
func (b *Batch) operations() (n uint64) {
	for _, e := range b.Entries {
		n += e.Counts.operations()
	}
	return n
}

// latest returns the latest hour of the batch.
func (b *Batch) latest() time.Time {
	var latest time.Time
	for _, e := range b.Entries {
		if e.Hour.After(latest) {
			latest = e.Hour
		}
	}
	return latest
}
