// Package reconcile compares two Stats APIs: the vendor's own and the gateway's.
// Requests that only the vendor counted bypassed the gateway.
//
// Both have the same API, so both are read in the same way, from the environments of an
// organization to their regions and stores. A store that only one side lists counts 0
// on the other. Operations above stores (lists of stores, of regions) are the part of a
// level's count that is not in the levels below it, and get a row of their own.
//
// The package uses the API only through [Source]; [API] is a Source over HTTP. It does
// not handle credentials.
package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"osgate/internal/calendar"
)

// Source is a Stats API. Get returns the body of a 200 for an escaped path below
// /api/v1 ("organizations/…"). It is called by several goroutines at once and must end
// with ctx.
type Source interface {
	Get(ctx context.Context, path string, query url.Values) ([]byte, error)
}

// Options configures a comparison. All fields except AtOnce and Now are required.
type Options struct {
	Theirs, Ours Source
	Organization string
	Period       Period
	// Both are extended to whole buckets of Period; From must be within the retention:
	// 3, 12 or 24 months.
	From, To time.Time
	Now      time.Time // the time from which the retention is computed; zero means the present
	AtOnce   int       // bounds the concurrent requests to each side; 0 means 4
}

const (
	defaultAtOnce = 4
	// maxWindows bounds the number of requests for one count: three months of hours,
	// the vendor's retention.
	maxWindows = 100
)

// ErrUsage is in the chain of errors that report invalid options.
var ErrUsage = errors.New("invalid comparison")

// Row holds the counts of both sides. Store is empty for operations that belong to a
// region but to no store, such as lists of stores; Region is empty for the rest of an
// environment, and Environment for the rest of the organization.
type Row struct {
	Environment string `json:"environment"`
	Region      string `json:"region"`
	Store       string `json:"store"`
	Theirs      int64  `json:"theirs"`
	Ours        int64  `json:"ours"`
}

// Difference returns the requests that Theirs has in addition to Ours. If positive,
// these requests bypassed the gateway.
func (r Row) Difference() int64 { return r.Theirs - r.Ours }

// Exceeds reports whether the sides differ by more than percent of the larger one.
func (r Row) Exceeds(percent float64) bool {
	difference := r.Difference()
	return float64(max(difference, -difference))*100 > percent*float64(max(r.Theirs, r.Ours))
}

// Report is the result of a comparison.
type Report struct {
	Organization string
	From, To     time.Time // the first instant of the first bucket, and of the bucket after the last
	Period       Period
	Rows         []Row // in alphabetical order; those of stores, and others with counts
	Total        Row   // for the organization: the sum of all rows
}

// Exceeds reports whether any row differs by more than percent of its larger side. If
// no row does, the total does not either.
func (r *Report) Exceeds(percent float64) bool {
	return slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Exceeds(percent) })
}

// Reconcile reads the counts of both sides. An error with [ErrUsage] in its chain means
// that o is invalid. Any other error comes from a Source and begins with the name of
// the side.
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
		w := &walk{
			source: source, windows: windows, period: o.Period, organization: o.Organization,
			atOnce: o.AtOnce, counted: make(map[place]int64),
		}
		if err := w.run(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", [2]string{"the vendor's Stats API", "the gateway's Stats API"}[i], err)
		}
		counted[i] = w.counted
	}
	r := &Report{
		Organization: o.Organization, From: windows[0].start, To: windows[len(windows)-1].end, Period: o.Period,
	}
	r.fill(counted[0], counted[1])
	return r, nil
}

// cut extends a time frame to whole buckets and cuts it into consecutive windows. A
// bucket that begins at to is not included, unless from is the same instant. A time
// that neither side keeps any more at now is an error: the counts would be equal and
// look like a proof.
func cut(p Period, from, to, now time.Time) ([]window, error) {
	switch {
	case p != Hour && p != Day && p != Month:
		return nil, fmt.Errorf("%w: the period must be %s, %s or %s", ErrUsage, Hour, Day, Month)
	case from.IsZero() || to.IsZero():
		return nil, fmt.Errorf("%w: from and to are needed", ErrUsage)
	case to.Before(from):
		return nil, fmt.Errorf("%w: to is before from", ErrUsage)
	case from.After(now):
		return nil, fmt.Errorf("%w: from is in the future", ErrUsage)
	case p.unit().Start(from).Before(p.oldest(now)):
		return nil, fmt.Errorf("%w: with period %s counts are kept for %d months: from may be %s at the earliest",
			ErrUsage, p, p.kept(), p.oldest(now).Format(time.RFC3339))
	}
	end := p.unit().Start(to)
	if end.Before(to) || !end.After(from) {
		end = p.unit().Next(end)
	}
	var all []window
	for at := p.unit().Start(from); at.Before(end); {
		if len(all) == maxWindows {
			return nil, fmt.Errorf(
				"%w: this time frame takes more than %d requests for each store; a longer period takes fewer",
				ErrUsage, maxWindows)
		}
		w := window{start: at, end: p.reach(at)}
		if w.end.After(end) {
			w.end = end
		}
		all = append(all, w)
		at = w.end
	}
	return all, nil
}

// reach returns the latest end of a window that begins at start, within the limits of
// one query ("Usage Metrics Limits": a day of hours, a month of days, two months of
// months). Days go to the end of their calendar month, which is always within the
// limit.
func (p Period) reach(start time.Time) time.Time {
	switch p {
	case Hour:
		return start.Add(24 * time.Hour)
	case Day:
		return calendar.Month.Next(calendar.Month.Start(start))
	default:
		return start.AddDate(0, 2, 0)
	}
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
		return cmp.Or(cmp.Compare(a.Environment, b.Environment),
			cmp.Compare(a.Region, b.Region), cmp.Compare(a.Store, b.Store))
	})
}

// own returns the part of each place's count that is not in the places below it.
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
