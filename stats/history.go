package stats

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"osgate/objectstore"
)

const (
	// maxHistory is the maximum number of buckets in a history: 16 days of hours, or
	// more than a year of days.
	maxHistory = 400
	// maxChildren is the maximum number of children in a history.
	maxChildren = 50
	// maxCompared is the number of children, those with the latest counts, among which
	// they are chosen.
	maxCompared = 10_000
)

// HistoryQuery describes the history of a store, a region, an environment or an
// organization. An empty organization means all organizations of a plane, and an empty
// plane all planes.
type HistoryQuery struct {
	Plane        string
	Organization string
	Environment  string
	Region       string
	Store        string

	Period   Period
	From, To time.Time // the first bucket contains From, the last contains To; both are required
}

// History holds counts for the operator.
type History struct {
	Buckets []HistoryBucket // oldest first, without gaps
	// Directly below: of the 10,000 with the latest counts, the 50 with the highest
	// counts, highest first.
	Children []HistoryChild

	// Truncated reports that there are more children, whose counts are still in
	// Buckets. Without an organization it also reports that Children and Buckets
	// contain only the 500 organizations with the latest counts.
	Truncated bool
}

// HistoryBucket is one bucket.
type HistoryBucket struct {
	Time time.Time // its beginning, UTC
	HistoryCounts
}

// HistoryChild is an organization, environment, region or store, with its sums over all
// buckets.
type HistoryChild struct {
	Plane string // of an organization; empty below one
	Name  string
	HistoryCounts
}

// HistoryCounts holds all measures.
type HistoryCounts struct {
	Client, Upstream           uint64 // operations, see [Client] and [Upstream]
	ClientUnits, UpstreamUnits uint64 // the same in billed units
}

func (c Counts) history() HistoryCounts {
	return HistoryCounts{
		Client: c[Client], Upstream: c[Upstream],
		ClientUnits: c[ClientUnits], UpstreamUnits: c[UpstreamUnits],
	}
}

// History returns the counts in a time frame of at most 400 buckets. It is for
// operators, who may see everything; [Counter.Answer] is for clients. Buckets past
// their retention at now count 0, and counts since the last flush are not included yet.
//
// Errors: *[objectstore.QueryError] for a field that is missing or invalid, by its name
// in lower case; [ErrUnavailable] in the chain of errors of the store.
func (c *Counter) History(ctx context.Context, q HistoryQuery, now time.Time) (History, error) {
	starts, err := q.starts()
	if err != nil {
		return History{}, err
	}
	h := History{Buckets: make([]HistoryBucket, len(starts)), Children: []HistoryChild{}}
	for i, start := range starts {
		h.Buckets[i].Time = start
	}
	first := retained(starts, q.Period, now)
	if first == len(starts) {
		return h, nil
	}
	past := chronicle{
		counter: c, query: q, starts: starts[first:],
		sums: make([]Counts, len(starts)-first), children: h.Children,
	}
	if q.Organization == "" {
		err = past.organizations(ctx)
	} else {
		err = past.scope(ctx)
	}
	if err != nil {
		return History{}, err
	}
	for i, n := range past.sums {
		h.Buckets[first+i].HistoryCounts = n.history()
	}
	h.Children, h.Truncated = past.biggest()
	return h, nil
}

// starts checks q and returns its buckets.
func (q HistoryQuery) starts() ([]time.Time, error) {
	names := []struct{ parameter, value string }{
		{"store", q.Store}, {"region", q.Region}, {"environment", q.Environment},
		{"organization", q.Organization}, {"plane", q.Plane},
	}
	for i, n := range names[1:] {
		if n.value == "" && names[i].value != "" {
			return nil, &objectstore.QueryError{
				Parameter: n.parameter, Reason: "is required with " + names[i].parameter,
			}
		}
	}
	switch {
	case q.Period >= periods:
		return nil, &objectstore.QueryError{Parameter: "period", Reason: "must be 1hour, 1day or 1month"}
	case q.From.IsZero():
		return nil, &objectstore.QueryError{Parameter: "from", Reason: "is required"}
	case q.To.IsZero():
		return nil, &objectstore.QueryError{Parameter: "to", Reason: "is required"}
	case q.To.Before(q.From):
		return nil, &objectstore.QueryError{Parameter: "to", Reason: "is before from"}
	}
	var all []time.Time
	for b := q.Period.Start(q.From); !b.After(q.To); b = q.Period.next(b) {
		if len(all) == maxHistory {
			return nil, &objectstore.QueryError{Parameter: "to", Reason: fmt.Sprintf(
				"is too late: with period=%s a history has at most %d buckets, until %s",
				q.Period, maxHistory, b.Add(-time.Second).Format(time.RFC3339))}
		}
		all = append(all, b)
	}
	return all, nil
}

// chronicle is a history while it is read.
type chronicle struct {
	counter   *Counter
	query     HistoryQuery
	starts    []time.Time // those that are retained
	sums      []Counts    // of each of starts
	children  []HistoryChild
	truncated bool
}

var allMeasures = []Measure{Client, Upstream, ClientUnits, UpstreamUnits}

// organizations reads all known organizations.
func (h *chronicle) organizations(ctx context.Context) error {
	known, err := again(ctx, func() ([]Scope, error) {
		return h.counter.store.Organizations(ctx, h.starts[0], maxKnown)
	})
	if err != nil {
		return fmt.Errorf("reading organizations: %w", err)
	}
	if h.query.Plane != "" {
		known = slices.DeleteFunc(known, func(s Scope) bool { return s.Plane != h.query.Plane })
	}
	h.truncated = len(known) > maxScopes
	known = known[:min(maxScopes, len(known))]
	wanted := CountsQuery{Scopes: known, Period: h.query.Period, Starts: h.starts, Measures: allMeasures}
	err = h.counter.read(ctx, wanted, func(s Scope, row []Counts) {
		h.add(row)
		h.child(HistoryChild{Plane: s.Plane, Name: s.Organization}, sum(row))
	})
	if err != nil {
		return fmt.Errorf("reading counts: %w", err)
	}
	return nil
}

// scope reads one scope and the scopes directly below it.
func (h *chronicle) scope(ctx context.Context) error {
	q := h.query
	scope := Scope{
		Plane: q.Plane, Organization: q.Organization, Environment: q.Environment, Region: q.Region, Store: q.Store,
	}
	wanted := CountsQuery{Scopes: []Scope{scope}, Period: q.Period, Starts: h.starts, Measures: allMeasures}
	if err := h.counter.read(ctx, wanted, func(_ Scope, row []Counts) { h.add(row) }); err != nil {
		return fmt.Errorf("reading counts: %w", err)
	}
	if scope.Store != "" {
		return nil
	}
	names, err := again(ctx, func() ([]string, error) { return h.counter.store.Names(ctx, scope, h.starts[0]) })
	if err != nil {
		return fmt.Errorf("reading names: %w", err)
	}
	h.truncated = len(names) > maxCompared
	return h.below(ctx, scope, names[:min(maxCompared, len(names))])
}

// below sums the scopes directly below scope, which may be thousands, in the coarsest
// buckets that make up the time frame.
func (h *chronicle) below(ctx context.Context, scope Scope, names []string) error {
	scopes := make([]Scope, len(names))
	for i, name := range names {
		scopes[i] = scope.child(name)
	}
	sums := make(map[Scope]Counts, len(names))
	parts := cover(h.query.Period, h.starts)
	for p := range periods {
		wanted := CountsQuery{Scopes: scopes, Period: p, Starts: parts[p], Measures: allMeasures}
		err := h.counter.read(ctx, wanted, func(s Scope, row []Counts) {
			n := sums[s]
			n.Add(sum(row))
			sums[s] = n
		})
		if err != nil {
			return fmt.Errorf("reading counts: %w", err)
		}
	}
	for s, n := range sums {
		_, name, _ := s.parent()
		h.child(HistoryChild{Name: name}, n)
	}
	return nil
}

// cover returns buckets of all periods that together are those of p that begin at
// starts, which are consecutive: whole months, then whole days, instead of their parts
// if possible.
func cover(p Period, starts []time.Time) (parts [periods][]time.Time) {
	end := p.next(starts[len(starts)-1])
	for at := starts[0]; at.Before(end); {
		with := p
		for coarser := Month; coarser > p; coarser-- {
			if coarser.Start(at).Equal(at) && !coarser.next(at).After(end) {
				with = coarser
				break
			}
		}
		parts[with] = append(parts[with], at)
		at = with.next(at)
	}
	return parts
}

func (h *chronicle) add(row []Counts) {
	for i, n := range row {
		h.sums[i].Add(n)
	}
}

func (h *chronicle) child(child HistoryChild, n Counts) {
	if n != (Counts{}) {
		child.HistoryCounts = n.history()
		h.children = append(h.children, child)
	}
}

// biggest returns the children to list, and whether some are left out.
func (h *chronicle) biggest() ([]HistoryChild, bool) {
	slices.SortFunc(h.children, func(a, b HistoryChild) int {
		return cmp.Or(cmp.Compare(b.Client, a.Client), cmp.Compare(b.Upstream, a.Upstream),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Plane, b.Plane))
	})
	return h.children[:min(maxChildren, len(h.children))], h.truncated || len(h.children) > maxChildren
}
