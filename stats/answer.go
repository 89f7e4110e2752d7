package stats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"osgate/objectstore"
)

// ErrNotMember is returned for an organization that the caller does not belong to.
var ErrNotMember = errors.New("the caller does not belong to this organization")

// maxScopes is how many scopes or organizations a store is asked about, or told of, at once.
const maxScopes = 500

// Question is a request to the Stats API by a caller who has been identified.
type Question struct {
	Plane         string                // whose counts: an organization of one plane is not that of another
	Operation     objectstore.Operation // one of the seven
	Organizations []string              // those that the caller belongs to, as its control plane says, and may read
}

// Answer is the content of a 200.
type Answer struct {
	Body []byte
	Type string // for Content-Type: "application/json", or what format=csv gets
}

// Answer answers q: with a count for each bucket of the time frame, oldest first, or a list of names in alphabetical order. It is JSON exactly as
// the vendor's API writes it, or with format=csv a table of the same. What is past its retention at now, and what lies ahead, counts 0.
// What was counted since the last flush is not in it yet.
//
// Errors: [ErrNotMember]; *[objectstore.QueryError] for a parameter that is missing, malformed or beyond the vendor's limits;
// [ErrUnavailable] in the chain of those that come from the store.
func (c *Counter) Answer(ctx context.Context, q Question, now time.Time) (Answer, error) {
	if !q.Operation.Stats() {
		return Answer{}, fmt.Errorf("answering statistics: %s is no operation of the Stats API", q.Operation.Kind)
	}
	ref := q.Operation.Ref
	if !slices.Contains(q.Organizations, ref.Organization) {
		return Answer{}, ErrNotMember
	}
	asked, err := parseQuery(q.Operation.RawQuery())
	if err != nil {
		return Answer{}, err
	}
	scope := Scope{Plane: q.Plane, Organization: ref.Organization, Environment: ref.Environment, Region: ref.Region, Store: ref.Store}
	if listsNames(q.Operation.Route()) {
		names, err := c.names(ctx, scope, asked, now)
		if err != nil {
			return Answer{}, err
		}
		return asked.renderNames(names, scope)
	}
	scopes, err := c.summed(ctx, q, scope, asked)
	if err != nil {
		return Answer{}, err
	}
	if len(scopes) == 0 { // "If you use isMaster=true to query a sub-organization, the endpoint returns no results"
		return asked.renderPoints([]point{})
	}
	points, err := c.counts(ctx, scopes, asked, now)
	if err != nil {
		return Answer{}, err
	}
	return asked.renderPoints(points)
}

// listsNames tells the three operations that answer with names from the four that answer with counts: their paths end in a word, not in a
// name.
func listsNames(route string) bool { return !strings.HasSuffix(route, "}") }

// summed returns whose counts add up to the answer: those of scope or, with isMaster, of a root organization and of all below it that the caller may
// read, whoever else the tree was learned from; nobody's where scope is a sub-organization then.
func (c *Counter) summed(ctx context.Context, q Question, scope Scope, asked query) ([]Scope, error) {
	scopes := []Scope{scope}
	if !asked.master || scope.Environment != "" {
		return scopes, nil
	}
	t, err := c.tree(ctx, scope.Plane, scope.Organization)
	if err != nil {
		return nil, fmt.Errorf("reading organization tree: %w", err)
	}
	if t.Root != scope.Organization {
		return nil, nil
	}
	own := make(map[string]bool, len(q.Organizations))
	for _, organization := range q.Organizations {
		own[organization] = true
	}
	for _, sub := range t.Subs {
		if own[sub] {
			scopes = append(scopes, Scope{Plane: scope.Plane, Organization: sub})
		}
	}
	return scopes, nil
}

// counts sums the counts of scopes by bucket.
func (c *Counter) counts(ctx context.Context, scopes []Scope, asked query, now time.Time) ([]point, error) {
	starts := asked.starts()
	points := make([]point, len(starts))
	for i, start := range starts {
		points[i].Time = start.Format(time.RFC3339)
	}
	first := retained(starts, asked.period, now)
	measure := asked.measure()
	wanted := CountsQuery{Scopes: scopes, Period: asked.period, Starts: starts[first:], Measures: []Measure{measure}}
	err := c.read(ctx, wanted, func(_ Scope, row []Counts) {
		for i, n := range row {
			points[first+i].Count += n[measure]
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading counts: %w", err)
	}
	return points, nil
}

// names answers with the names right below scope that have counts in the time frame, be they deleted by now.
func (c *Counter) names(ctx context.Context, scope Scope, asked query, now time.Time) ([]string, error) {
	starts := asked.starts()
	starts = starts[retained(starts, asked.period, now):]
	found := []string{}
	if len(starts) == 0 {
		return found, nil
	}
	seen, err := again(ctx, func() ([]string, error) { return c.store.Names(ctx, scope, starts[0]) })
	if err != nil {
		return nil, fmt.Errorf("reading names: %w", err)
	}
	scopes := make([]Scope, len(seen))
	for i, name := range seen {
		scopes[i] = scope.child(name)
	}
	wanted := CountsQuery{Scopes: scopes, Period: asked.period, Starts: starts, Measures: []Measure{asked.source}}
	err = c.read(ctx, wanted, func(s Scope, row []Counts) {
		if sum(row) != (Counts{}) {
			_, name, _ := s.parent()
			found = append(found, name)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading counts: %w", err)
	}
	slices.Sort(found)
	return found, nil
}

// retained returns the index of the first of starts that is within retention at now.
func retained(starts []time.Time, p Period, now time.Time) int {
	oldest := p.oldest(now)
	i, _ := slices.BinarySearchFunc(starts, oldest, time.Time.Compare)
	return i
}

// maxNumbers is how many numbers a store is asked for at once, so that it is busy for a few milliseconds only.
const maxNumbers = 20_000

// read hands row the counts of each scope of q, of as many scopes at a time as a store may be asked about.
func (c *Counter) read(ctx context.Context, q CountsQuery, row func(Scope, []Counts)) error {
	if len(q.Starts) == 0 {
		return nil
	}
	atOnce := max(1, min(maxScopes, maxNumbers/(len(q.Starts)*len(q.Measures))))
	for some := range slices.Chunk(q.Scopes, atOnce) {
		part := q
		part.Scopes = some
		rows, err := again(ctx, func() ([][]Counts, error) { return c.store.Counts(ctx, part) })
		if err != nil {
			return err
		}
		for i, r := range rows {
			row(some[i], r)
		}
	}
	return nil
}

// again reads once more what a store could not tell just now: one late answer of twenty is no reason to have the other nineteen read anew.
func again[T any](ctx context.Context, read func() (T, error)) (T, error) {
	said, err := read()
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		return read()
	}
	return said, err
}

// sum adds up a row.
func sum(row []Counts) (all Counts) {
	for _, n := range row {
		all.Add(n)
	}
	return all
}
