package stats

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"osgate/objectstore"
)

// maxScopes is the maximum number of scopes or organizations in one call to a store.
const maxScopes = 500

// Question is a request to the Stats API by a client that may send it.
type Question struct {
	Plane     string                // an organization belongs to one plane
	Operation objectstore.Operation // one of the seven
	// Those that the client may read: a sum (isMaster) leaves out all others.
	Organizations []string
}

// Answer is the content of a 200.
type Answer struct {
	Body []byte
	Type string // for Content-Type: "application/json", or the CSV type with format=csv
}

// Answer answers q with a count for each bucket of the time frame, oldest first, or
// with a list of names in alphabetical order. The answer is JSON exactly as the
// vendor's API writes it, or with format=csv a table of the same. Buckets past their
// retention at now, and future ones, count 0. Counts since the last flush are not
// included yet.
//
// The caller of Answer has judged whether the client may have it: Answer itself refuses
// no client.
//
// Errors: *[objectstore.QueryError] for a parameter that is missing, malformed or beyond
// the vendor's limits; [ErrUnavailable] in the chain of errors of the store.
func (c *Counter) Answer(ctx context.Context, q Question, now time.Time) (Answer, error) {
	if !q.Operation.Stats() {
		return Answer{}, fmt.Errorf("answering statistics: %s is no operation of the Stats API", q.Operation.Kind)
	}
	asked, err := parseQuery(q.Operation.RawQuery())
	if err != nil {
		return Answer{}, err
	}
	ref := q.Operation.Ref
	scope := Scope{
		Plane: q.Plane, Organization: ref.Organization, Environment: ref.Environment,
		Region: ref.Region, Store: ref.Store,
	}
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

// listsNames distinguishes the three operations that return names from the four that
// return counts: the routes of the three end in a word, not in a parameter.
func listsNames(route string) bool { return !strings.HasSuffix(route, "}") }

// summed returns the scopes whose counts are added up for the answer: scope itself or,
// with isMaster, a root organization and all organizations below it that the caller may
// read, no matter which caller the tree was learned from. With isMaster and a
// sub-organization it returns no scope.
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

// names returns the names directly below scope that have counts in the time frame, even
// if they have been deleted since.
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

// maxNumbers is the maximum number of counts in one read from a store, so that the
// store is busy for a few milliseconds only.
const maxNumbers = 20_000

// read calls row with the counts of each scope of q. It reads as many scopes at a time
// as one call to a store may contain.
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

// again repeats a read once if the store was unavailable, so that one late answer of
// twenty does not make the other nineteen be read again.
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

// The media types of answers. RFC 4180 section 3 defines a parameter of CSV that states
// whether there is a header.
const (
	typeJSON = "application/json"
	typeCSV  = "text/csv; charset=utf-8; header=present"
)

// point is one bucket in the vendor's form.
type point struct {
	Time  string `json:"timeStamp"`
	Count uint64 `json:"objectStoreRequestCount"`
}

// renderPoints encodes counts.
func (q query) renderPoints(points []point) (Answer, error) {
	if !q.csv {
		return encode(points)
	}
	rows := [][]string{{"timeStamp", "objectStoreRequestCount"}}
	for _, p := range points {
		rows = append(rows, []string{p.Time, strconv.FormatUint(p.Count, 10)})
	}
	return table(rows)
}

// renderNames encodes the names directly below scope.
func (q query) renderNames(names []string, scope Scope) (Answer, error) {
	if !q.csv {
		return encode(names)
	}
	rows := [][]string{{scope.below()}}
	for _, name := range names {
		rows = append(rows, []string{harmless(name)})
	}
	return table(rows)
}

// encode writes JSON as the vendor does: without a final newline, and with "<", ">" and
// "&" unescaped.
func encode(v any) (Answer, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return Answer{}, fmt.Errorf("encoding answer: %w", err)
	}
	return Answer{Body: bytes.TrimSuffix(b.Bytes(), []byte("\n")), Type: typeJSON}, nil
}

// table writes CSV (RFC 4180), its lines ended by CRLF.
func table(rows [][]string) (Answer, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	if err := w.WriteAll(rows); err != nil {
		return Answer{}, fmt.Errorf("encoding answer: %w", err)
	}
	return Answer{Body: b.Bytes(), Type: typeCSV}, nil
}

// harmless prevents a spreadsheet from executing a name as a formula, by the apostrophe
// that marks a text there (OWASP, "CSV Injection"). A client that creates a store
// chooses its name, and a person who opens the table trusts it.
func harmless(name string) string {
	if name != "" && bytes.IndexByte([]byte("=+-@\t\r"), name[0]) >= 0 {
		return "'" + name
	}
	return name
}
