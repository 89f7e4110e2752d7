package stats_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/objectstore"
	"osgate/record"
	"osgate/stats"
)

// of returns the counts of one bucket, with each measure given separately.
func of(client, upstream, clientUnits, upstreamUnits uint64) stats.HistoryCounts {
	return stats.HistoryCounts{Client: client, Upstream: upstream, ClientUnits: clientUnits, UpstreamUnits: upstreamUnits}
}

func history(t testing.TB, c *stats.Counter, q stats.HistoryQuery, now time.Time) stats.History {
	t.Helper()
	h, err := c.History(t.Context(), q, now)
	if err != nil {
		t.Fatalf("History(%+v): %v", q, err)
	}
	return h
}

// TestHistoryOfEveryLevel reads the history of all organizations, of one plane, of an
// organization, and so on down to a store: buckets with every measure, and the children
// of the level.
func TestHistoryOfEveryLevel(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			c := stats.New(stats.Options{Store: kind.open(t)})
			keep(c, 2, with(get(noon), func(x *record.Exchange) { x.ResponseBytes, x.UpstreamBytes = 250_000, 250_000 }))
			keep(c, 4, with(get(noon), func(x *record.Exchange) { x.Store, x.Hit, x.UpstreamAttempts = "cached", true, 0 }))
			keep(c, 1, with(get(noon.Add(time.Hour)), func(x *record.Exchange) { x.Environment = "env-2" }))
			keep(c, 9, with(get(noon), func(x *record.Exchange) { x.Plane = "eu" }))
			keep(c, 3, with(get(noon.Add(-time.Hour)), func(x *record.Exchange) { x.Organization = "before" }))
			keep(c, 5, with(get(noon.Add(2*time.Hour)), func(x *record.Exchange) { x.Organization = "after" }))
			flush(t, c)
			hours := []time.Time{noon, noon.Add(time.Hour)}
			for _, tt := range []struct {
				name     string
				scope    stats.HistoryQuery
				counts   [2]stats.HistoryCounts
				children []stats.HistoryChild
			}{
				{"everything", stats.HistoryQuery{}, [2]stats.HistoryCounts{of(15, 11, 19, 15), of(1, 1, 1, 1)}, []stats.HistoryChild{
					{Plane: "eu", Name: "org", HistoryCounts: of(9, 9, 9, 9)}, {Plane: "us", Name: "org", HistoryCounts: of(7, 3, 11, 7)},
				}},
				{"a plane", stats.HistoryQuery{Plane: "eu"}, [2]stats.HistoryCounts{of(9, 9, 9, 9), {}}, []stats.HistoryChild{
					{Plane: "eu", Name: "org", HistoryCounts: of(9, 9, 9, 9)},
				}},
				{"an organization", stats.HistoryQuery{Plane: "us", Organization: "org"}, [2]stats.HistoryCounts{of(6, 2, 10, 6), of(1, 1, 1, 1)}, []stats.HistoryChild{
					{Name: "env", HistoryCounts: of(6, 2, 10, 6)}, {Name: "env-2", HistoryCounts: of(1, 1, 1, 1)},
				}},
				{"a region", stats.HistoryQuery{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"},
					[2]stats.HistoryCounts{of(6, 2, 10, 6), {}}, []stats.HistoryChild{
						{Name: "cached", HistoryCounts: of(4, 0, 4, 0)}, {Name: "store", HistoryCounts: of(2, 2, 6, 6)},
					}},
				{"a store", stats.HistoryQuery{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1", Store: "store"},
					[2]stats.HistoryCounts{of(2, 2, 6, 6), {}}, []stats.HistoryChild{}},
				{"nobody", stats.HistoryQuery{Plane: "us", Organization: "nobody"}, [2]stats.HistoryCounts{}, []stats.HistoryChild{}},
			} {
				q := tt.scope
				q.Period, q.From, q.To = stats.Hour, noon.Add(time.Minute), noon.Add(119*time.Minute)
				want := stats.History{Children: tt.children}
				for i, at := range hours {
					want.Buckets = append(want.Buckets, stats.HistoryBucket{Time: at, HistoryCounts: tt.counts[i]})
				}
				if diff := cmp.Diff(want, history(t, c, q, noon.Add(3*time.Hour))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tt.name, diff)
				}
			}
		})
	}
}

// TestHistoryChildrenSumTheWholeTimeFrame reads time frames that begin and end
// anywhere. The sums of the children, which are read by month and day where possible,
// equal those of the buckets.
func TestHistoryChildrenSumTheWholeTimeFrame(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			c := stats.New(stats.Options{Store: kind.open(t)})
			from := time.Date(2024, 1, 30, 0, 0, 0, 0, time.UTC)
			for hour := range 34 * 24 { // to 4 March, through 29 February
				keep(c, 1, get(from.Add(time.Duration(hour)*time.Hour)))
			}
			flush(t, c)
			for _, tt := range []struct {
				period   stats.Period
				from, to string
				want     uint64
			}{
				{stats.Hour, "2024-01-31T23:00:00Z", "2024-02-10T04:59:59Z", 1 + 9*24 + 5},
				{stats.Hour, "2024-02-29T00:00:00Z", "2024-02-29T23:00:00Z", 24},
				{stats.Day, "2024-01-31T12:00:00Z", "2024-03-01T12:00:00Z", 31 * 24},
				{stats.Day, "2024-02-01T00:00:00Z", "2024-02-29T00:00:00Z", 29 * 24},
				{stats.Month, "2024-01-01T00:00:00Z", "2024-03-01T00:00:00Z", 34 * 24},
			} {
				q := stats.HistoryQuery{Plane: "us", Organization: "org", Period: tt.period}
				q.From, _ = time.Parse(time.RFC3339, tt.from)
				q.To, _ = time.Parse(time.RFC3339, tt.to)
				h := history(t, c, q, from.AddDate(0, 1, 10))
				sum := uint64(0)
				for _, b := range h.Buckets {
					sum += b.Client
				}
				if sum != tt.want || len(h.Children) != 1 || h.Children[0].Client != tt.want {
					t.Errorf("by %v from %s to %s: %d in buckets, children %+v; want %d", tt.period, tt.from, tt.to, sum, h.Children, tt.want)
				}
			}
		})
	}
}

func TestHistoryListsTheBiggestAndReportsThatThereAreMore(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			c := stats.New(stats.Options{Store: kind.open(t)})
			for i := range 51 {
				keep(c, i+1, with(get(noon), func(x *record.Exchange) { x.Store = fmt.Sprint("store-", i) }))
			}
			for i := range 501 {
				keep(c, 1, with(get(noon), func(x *record.Exchange) { x.Organization = fmt.Sprint("org-", i) }))
			}
			flush(t, c)
			q := stats.HistoryQuery{Period: stats.Hour, From: noon, To: noon}
			h := history(t, c, q, noon)
			if len(h.Children) != 50 || !h.Truncated || h.Children[0].Name != "org" && h.Children[0].Client != 1 {
				t.Errorf("of 502 organizations %d are listed, the first is %+v, truncated %t", len(h.Children), h.Children[0], h.Truncated)
			}
			q.Plane, q.Organization, q.Environment, q.Region = "us", "org", "env", "us-east-1"
			h = history(t, c, q, noon)
			if len(h.Children) != 50 || !h.Truncated || h.Children[0].Name != "store-50" || h.Children[49].Name != "store-1" {
				t.Errorf("of 51 stores %d are listed, %+v to %+v, truncated %t", len(h.Children), h.Children[0], h.Children[len(h.Children)-1], h.Truncated)
			}
			q.Region = ""
			if h = history(t, c, q, noon); h.Truncated {
				t.Error("one region, and there are said to be more")
			}
		})
	}
}

func TestHistoryForgetsWhatIsPastRetention(t *testing.T) {
	t.Parallel()
	c := memory(t)
	c.Keep(get(noon))
	flush(t, c)
	q := stats.HistoryQuery{Plane: "us", Organization: "org", Period: stats.Hour, From: noon, To: noon.Add(time.Hour)}
	for now, want := range map[time.Time]uint64{noon.AddDate(0, 3, 0): 1, noon.AddDate(0, 3, 0).Add(time.Hour): 0, noon.AddDate(0, 4, 0): 0} {
		h := history(t, c, q, now)
		if len(h.Buckets) != 2 || h.Buckets[0].Client != want || len(h.Children) != int(want) {
			t.Errorf("at %v: %+v, want %d", now, h, want)
		}
	}
}

func TestHistoryRefusesWhatItCannotAnswer(t *testing.T) {
	t.Parallel()
	whole := stats.HistoryQuery{
		Plane: "us", Organization: "org", Environment: "env", Region: "r", Store: "s", Period: stats.Hour, From: noon, To: noon.Add(399 * time.Hour),
	}
	c := memory(t)
	if h := history(t, c, whole, noon); len(h.Buckets) != 400 {
		t.Errorf("%d buckets, want 400", len(h.Buckets))
	}
	for _, tt := range []struct {
		parameter string
		change    func(*stats.HistoryQuery)
	}{
		{"plane", func(q *stats.HistoryQuery) { q.Plane = "" }},
		{"organization", func(q *stats.HistoryQuery) { q.Organization = "" }},
		{"environment", func(q *stats.HistoryQuery) { q.Environment = "" }},
		{"region", func(q *stats.HistoryQuery) { q.Region = "" }},
		{"period", func(q *stats.HistoryQuery) { q.Period = 3 }},
		{"from", func(q *stats.HistoryQuery) { q.From = time.Time{} }},
		{"to", func(q *stats.HistoryQuery) { q.To = time.Time{} }},
		{"to", func(q *stats.HistoryQuery) { q.To = q.From.Add(-time.Second) }},
		{"to", func(q *stats.HistoryQuery) { q.To = q.To.Add(time.Hour) }},
	} {
		q := whole
		tt.change(&q)
		_, err := c.History(t.Context(), q, noon)
		if refused, ok := errors.AsType[*objectstore.QueryError](err); !ok || refused.Parameter != tt.parameter {
			t.Errorf("History(%+v): %v, want a QueryError of %s", q, err, tt.parameter)
		}
	}
}

// away is a store that cannot be read.
type away struct{ stats.Store }

func (away) Counts(context.Context, stats.CountsQuery) ([][]stats.Counts, error) {
	return nil, fmt.Errorf("%w: gone", stats.ErrUnavailable)
}

func (away) Organizations(context.Context, time.Time, int) ([]stats.Scope, error) {
	return nil, fmt.Errorf("%w: gone", stats.ErrUnavailable)
}

func TestHistoryOfAnUnavailableStore(t *testing.T) {
	t.Parallel()
	c := stats.New(stats.Options{Store: away{stats.NewMemory(stats.MemoryOptions{})}})
	for _, q := range []stats.HistoryQuery{{}, {Plane: "us", Organization: "org"}} {
		q.From, q.To = noon, noon
		if _, err := c.History(t.Context(), q, noon); !errors.Is(err, stats.ErrUnavailable) {
			t.Errorf("History(%+v): %v, want ErrUnavailable", q, err)
		}
	}
}
