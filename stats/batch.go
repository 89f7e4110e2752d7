package stats

import (
	"slices"
	"time"
)

// Measure identifies one of the numbers of a bucket. Stores write the numbers in this
// order, or under a letter for each. A measure never changes its meaning, and a new one
// is added at the end. Data written before a measure was added contains 0 for it.
type Measure uint8

// The measures.
const (
	// Client counts all operations that were answered 2xx to clients, also from the
	// cache.
	Client Measure = iota
	// Upstream counts the operations that Object Store answered 2xx, which the vendor
	// bills.
	Upstream
	// ClientUnits counts the billed units of all operations in Client, as if Object
	// Store had answered them: see record.Exchange.CountedUnits.
	ClientUnits
	// UpstreamUnits counts the billed units of all operations in Upstream: see
	// record.Exchange.BilledUnits.
	UpstreamUnits
	measures
)

// String returns the measure's name for messages: "client", "upstream", "client units"
// or "upstream units".
func (m Measure) String() string {
	return [measures]string{"client", "upstream", "client units", "upstream units"}[m]
}

// Counts is one number for each measure.
type Counts [measures]uint64

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	for m := range c {
		c[m] += other[m]
	}
}

// operations returns the number of operations that c counts: nearly every operation
// answered by Object Store was also answered to a client.
func (c Counts) operations() uint64 { return max(c[Client], c[Upstream]) }

// only returns c with the wanted measures, and 0 for the rest.
func (c Counts) only(wanted []Measure) (some Counts) {
	for _, m := range wanted {
		some[m] = c[m]
	}
	return some
}

// Entry holds the counts of one scope in one hour, not yet added to the levels above.
type Entry struct {
	Scope  Scope
	Hour   time.Time // the beginning of the hour, UTC
	Counts Counts
}

// Batch holds the counts of one process for one organization. A [Store] applies it
// once, as a whole. It never changes after it was first passed to a store.
type Batch struct {
	Process  string  // a random name, new for each start
	Sequence uint64  // from 1, increasing with every batch of the process for any organization
	Scope    Scope   // the organization
	Entries  []Entry // all within Scope
}

// increment is the amount that a batch adds to one bucket of one scope.
type increment struct {
	bucket
	counts Counts
}

// bucket identifies one number (or one for each measure) in a store.
type bucket struct {
	scope  Scope
	period Period
	start  int64 // Unix seconds
}

// increments returns the amounts that the batch adds at every level and for every
// period: each bucket once, and those of a scope after those of the scopes around it.
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

// sighting is a scope and the hour of its latest count.
type sighting struct {
	scope Scope
	hour  time.Time
}

// sightings returns every scope below the organization with counts in the batch, and
// its latest hour.
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

// latestFirst returns the scopes of the limit latest sightings.
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
