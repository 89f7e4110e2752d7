// Package reconcile holds two Stats APIs against each other: the vendor's own and the gateway's. What only the vendor counted went past the
// gateway.
//
// The idea a reader needs: both speak the same API, so both are walked in the same way, from the environments of an organization to their regions
// and stores. A store that only one side names counts 0 on the other. What is counted above stores (lists of stores, of regions) is
// what a level counts beyond all below it, and gets a row of its own.
//
// The package knows the API only by [Source]; [API] is one over HTTP. It decides nothing about credentials.
package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Source is a Stats API. Get returns the body of a 200 for a path below /api/v1 ("organizations/…", escaped). It is called by several goroutines
// at once and has to end with ctx.
type Source interface {
	Get(ctx context.Context, path string, query url.Values) ([]byte, error)
}

// Options say what is held against what. All but AtOnce and Now are required.
type Options struct {
	Theirs, Ours Source
	Organization string
	Period       Period
	From, To     time.Time // both are widened to whole buckets of Period; From within what both sides keep, 3, 12 or 24 months
	Now          time.Time // what the retention is reckoned from; zero means the present
	AtOnce       int       // bounds the requests under way to each side; 0 means 4
}

const (
	defaultAtOnce = 4
	// maxWindows bounds how many requests one number may take: three months of hours, the longest that the vendor keeps.
	maxWindows = 100
)

// ErrUsage is in the chain of errors that say that the options cannot be used.
var ErrUsage = errors.New("cannot be asked")

// Row is what both sides counted of something. Store is empty for what was counted for the region and for no store of it, such as lists of
// stores; Region is for what an environment has beyond its regions; and Environment for what the organization has beyond its environments.
type Row struct {
	Environment string `json:"environment"`
	Region      string `json:"region"`
	Store       string `json:"store"`
	Theirs      int64  `json:"theirs"`
	Ours        int64  `json:"ours"`
}

// Difference is what theirs has beyond ours: requests that went past the gateway, where it is positive.
func (r Row) Difference() int64 { return r.Theirs - r.Ours }

// Exceeds reports whether the sides differ by more than a part of the larger one, in percent.
func (r Row) Exceeds(percent float64) bool {
	difference := r.Difference()
	return float64(max(difference, -difference))*100 > percent*float64(max(r.Theirs, r.Ours))
}

// Report is the outcome.
type Report struct {
	Organization string
	From, To     time.Time // the first instant of the first bucket, and of the one after the last
	Period       Period
	Rows         []Row // in alphabetical order; those of stores, and others that hold something
	Total        Row   // of the organization, which is the sum of all rows
}

// Exceeds reports whether any row differs by more than a part of its larger side, in percent. Where none does the total does not either.
func (r *Report) Exceeds(percent float64) bool {
	return slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Exceeds(percent) })
}

// Reconcile asks both sides. An error in whose chain [ErrUsage] is says that o cannot be used; any other comes from a Source, with the side's name
// before it.
func Reconcile(ctx context.Context, o Options) (*Report, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	windows, err := cut(o.Period, o.From, o.To, o.Now)
	if err != nil {
		return nil, err
	}
	if o.Organization == "" {
		return nil, fmt.Errorf("%w: no organization", ErrUsage)
	}
	if o.AtOnce <= 0 {
		o.AtOnce = defaultAtOnce
	}
	var counted [2]map[place]int64
	for i, source := range []Source{o.Theirs, o.Ours} {
		w := &walk{source: source, windows: windows, period: o.Period, organization: o.Organization, atOnce: o.AtOnce, counted: make(map[place]int64)}
		if err := w.run(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", [2]string{"the vendor's Stats API", "the gateway's Stats API"}[i], err)
		}
		counted[i] = w.counted
	}
	r := &Report{Organization: o.Organization, From: windows[0].start, To: windows[len(windows)-1].end, Period: o.Period}
	r.fill(counted[0], counted[1])
	return r, nil
}

// fill makes the rows.
func (r *Report) fill(theirs, ours map[place]int64) {
	r.Total = Row{Theirs: theirs[place{}], Ours: ours[place{}]}
	rows := make(map[place]*Row)
	row := func(p place) *Row {
		if rows[p] == nil {
			rows[p] = &Row{Environment: p.environment, Region: p.region, Store: p.store}
		}
		return rows[p]
	}
	for p, n := range own(theirs) {
		row(p).Theirs = n
	}
	for p, n := range own(ours) {
		row(p).Ours = n
	}
	for p, row := range rows {
		if p.store != "" || row.Theirs != 0 || row.Ours != 0 {
			r.Rows = append(r.Rows, *row)
		}
	}
	slices.SortFunc(r.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Store, b.Store))
	})
}

// own returns what each place has beyond what is below it.
func own(counted map[place]int64) map[place]int64 {
	rest := make(map[place]int64, len(counted))
	for p, n := range counted {
		rest[p] += n
		if around, ok := p.around(); ok {
			rest[around] -= n
		}
	}
	return rest
}
