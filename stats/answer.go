package stats

import (
	"bytes"
	"context"
	"encoding/json"
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
	Organizations []string              // those that the caller belongs to, as its control plane says
}

// Answer returns the body of a 200, JSON exactly as the vendor's API writes it: a count for each bucket of the time frame, oldest first, or a
// list of names in alphabetical order. What is past its retention at now, and what lies ahead, counts 0.
// What was counted since the last flush is not in it yet.
//
// Errors: [ErrNotMember]; *[objectstore.QueryError] for a parameter that is missing, malformed or beyond the vendor's limits;
// [ErrUnavailable] in the chain of those that come from the store.
func (c *Counter) Answer(ctx context.Context, q Question, now time.Time) ([]byte, error) {
	if !q.Operation.Stats() {
		return nil, fmt.Errorf("answering statistics: %s is no operation of the Stats API", q.Operation.Kind)
	}
	ref := q.Operation.Ref
	if !slices.Contains(q.Organizations, ref.Organization) {
		return nil, ErrNotMember
	}
	asked, err := parseQuery(q.Operation.RawQuery())
	if err != nil {
		return nil, err
	}
	scope := Scope{Plane: q.Plane, Organization: ref.Organization, Environment: ref.Environment, Region: ref.Region, Store: ref.Store}
	if listsNames(q.Operation.Route()) {
		return c.names(ctx, scope, asked, now)
	}
	return c.counts(ctx, scope, asked, now)
}

// listsNames tells the three operations that answer with names from the four that answer with counts: their paths end in a word, not in a
// name.
func listsNames(route string) bool { return !strings.HasSuffix(route, "}") }

// point is one bucket in the vendor's form.
type point struct {
	Time  string `json:"timeStamp"`
	Count uint64 `json:"objectStoreRequestCount"`
}

// counts answers for one scope, or for a root organization with all below it.
func (c *Counter) counts(ctx context.Context, scope Scope, asked query, now time.Time) ([]byte, error) {
	scopes := []Scope{scope}
	if asked.master && scope.Environment == "" {
		t, err := c.tree(ctx, scope.Plane, scope.Organization)
		if err != nil {
			return nil, fmt.Errorf("reading organization tree: %w", err)
		}
		if t.Root != scope.Organization {
			return encode([]point{}) // "If you use isMaster=true to query a sub-organization, the endpoint returns no results"
		}
		for _, sub := range t.Subs {
			scopes = append(scopes, Scope{Plane: scope.Plane, Organization: sub})
		}
	}
	starts := asked.starts()
	points := make([]point, len(starts))
	for i, start := range starts {
		points[i].Time = start.Format(time.RFC3339)
	}
	first := retained(starts, asked.period, now)
	err := c.read(ctx, scopes, asked, starts[first:], func(_ Scope, row []uint64) {
		for i, n := range row {
			points[first+i].Count += n
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading counts: %w", err)
	}
	return encode(points)
}

// names answers with the names right below scope that have counts in the time frame, be they deleted by now.
func (c *Counter) names(ctx context.Context, scope Scope, asked query, now time.Time) ([]byte, error) {
	starts := asked.starts()
	starts = starts[retained(starts, asked.period, now):]
	found := []string{}
	if len(starts) == 0 {
		return encode(found)
	}
	seen, err := c.store.Names(ctx, scope, starts[0])
	if err != nil {
		return nil, fmt.Errorf("reading names: %w", err)
	}
	scopes := make([]Scope, len(seen))
	for i, name := range seen {
		scopes[i] = scope.child(name)
	}
	err = c.read(ctx, scopes, asked, starts, func(s Scope, row []uint64) {
		if slices.Max(row) > 0 {
			_, name, _ := s.parent()
			found = append(found, name)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading counts: %w", err)
	}
	slices.Sort(found)
	return encode(found)
}

// retained returns the index of the first of starts that is within retention at now.
func retained(starts []time.Time, p Period, now time.Time) int {
	oldest := p.oldest(now)
	i, _ := slices.BinarySearchFunc(starts, oldest, time.Time.Compare)
	return i
}

// read hands row the counts of each scope, a bounded number of scopes at a time.
func (c *Counter) read(ctx context.Context, scopes []Scope, asked query, starts []time.Time, row func(Scope, []uint64)) error {
	if len(starts) == 0 {
		return nil
	}
	for some := range slices.Chunk(scopes, maxScopes) {
		rows, err := c.store.Counts(ctx, CountsQuery{Scopes: some, Period: asked.period, Starts: starts, Measure: asked.measure})
		if err != nil {
			return err
		}
		for i, r := range rows {
			row(some[i], r)
		}
	}
	return nil
}

// encode writes JSON as the vendor does: without a line's end, "<", ">" and "&" as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding answer: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
