package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/reconcile"
)

// ledger is a Stats API that holds the counts of single hours. A key is
// "environment/region/store", or a shorter path for counts that belong to no store.
type ledger struct {
	hours map[string]map[time.Time]int64

	mu             sync.Mutex // guards the fields below
	underway, most int
	asked          []string
}

var noon = time.Date(2024, 8, 15, 12, 0, 0, 0, time.UTC)

// at returns a ledger with all counts at noon.
func at(counts map[string]int64) *ledger {
	l := &ledger{hours: make(map[string]map[time.Time]int64)}
	for place, n := range counts {
		l.hours[place] = map[time.Time]int64{noon: n}
	}
	return l
}

// Get implements [reconcile.Source] as the vendor's page describes the API, its limits
// included.
func (l *ledger) Get(_ context.Context, path string, query url.Values) ([]byte, error) {
	l.mu.Lock()
	l.underway++
	l.most = max(l.most, l.underway)
	l.asked = append(l.asked, path)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.underway--
		l.mu.Unlock()
	}()
	start, end, err := frame(query)
	if err != nil {
		return nil, err
	}
	segments := strings.Split(path, "/")
	var names []string
	for i := 3; i < len(segments); i += 2 {
		name, err := url.PathUnescape(segments[i])
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if segments[0] != "organizations" || segments[1] != "org" {
		return nil, errors.New("another organization")
	}
	if len(segments)%2 == 1 {
		return json.Marshal(l.list(names, start, end))
	}
	return json.Marshal(l.count(names, start, end))
}

// frame reads a query and checks it against the vendor's limits.
func frame(query url.Values) (start, end time.Time, err error) {
	start, err = time.Parse(time.RFC3339, query.Get("startDate"))
	if err == nil {
		end, err = time.Parse(time.RFC3339, query.Get("endDate"))
	}
	limit := map[string]time.Time{"1hour": start.Add(24 * time.Hour), "1day": start.AddDate(0, 1, 0), "1month": start.AddDate(0, 2, 0)}[query.Get("period")]
	if err != nil || end.Before(start) || end.After(limit) || query.Get("isMaster") != "false" {
		return start, end, fmt.Errorf("400: %v", query)
	}
	return start, end, nil
}

func (l *ledger) list(around []string, start, end time.Time) []string {
	names := []string{}
	for place, hours := range l.hours {
		parts := strings.Split(place, "/")
		if len(parts) <= len(around) || !slices.Equal(parts[:len(around)], around) || slices.Contains(names, parts[len(around)]) {
			continue
		}
		for hour := range hours {
			if !hour.Before(start) && !hour.After(end) && !slices.Contains(names, parts[len(around)]) {
				names = append(names, parts[len(around)])
			}
		}
	}
	return names
}

// count returns a bucket for each hour that has counts, for every period. It
// includes the buckets just outside the time frame.
func (l *ledger) count(names []string, start, end time.Time) []map[string]any {
	sums := make(map[time.Time]int64)
	for place, hours := range l.hours {
		if parts := strings.Split(place, "/"); len(names) > 0 && (len(parts) < len(names) || !slices.Equal(parts[:len(names)], names)) {
			continue
		}
		for hour, n := range hours {
			if !hour.Before(start.Add(-48*time.Hour)) && !hour.After(end.Add(48*time.Hour)) {
				sums[hour] += n
			}
		}
	}
	points := []map[string]any{}
	for hour, n := range sums {
		points = append(points, map[string]any{"timeStamp": hour.Format(time.RFC3339), "objectStoreRequestCount": n})
	}
	return points
}

func compare(t *testing.T, theirs, ours reconcile.Source) *reconcile.Report {
	t.Helper()
	r, err := reconcile.Reconcile(t.Context(), reconcile.Options{
		Theirs: theirs, Ours: ours, Organization: "org", Period: reconcile.Hour, From: noon, To: noon, Now: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestsPastTheGatewayAreADifference(t *testing.T) {
	t.Parallel()
	theirs := at(map[string]int64{"prod/us-east-1/orders": 10, "prod/us-east-1/only-theirs": 3, "prod/eu-west-1/a b/c": 0, "sandbox/us-east-1/x": 1, "prod/us-east-1": 2})
	theirs.hours["prod/eu-west-1/%2F"] = map[time.Time]int64{noon: 5}
	ours := at(map[string]int64{"prod/us-east-1/orders": 7, "prod/us-east-1/only-ours": 4, "prod/eu-west-1/%2F": 5, "sandbox/us-east-1/x": 1, "": 6})
	delete(theirs.hours, "prod/eu-west-1/a b/c")
	r := compare(t, theirs, ours)
	want := []reconcile.Row{
		{Theirs: 0, Ours: 6},
		{Environment: "prod", Region: "eu-west-1", Store: "%2F", Theirs: 5, Ours: 5},
		{Environment: "prod", Region: "us-east-1", Theirs: 2, Ours: 0},
		{Environment: "prod", Region: "us-east-1", Store: "only-ours", Theirs: 0, Ours: 4},
		{Environment: "prod", Region: "us-east-1", Store: "only-theirs", Theirs: 3, Ours: 0},
		{Environment: "prod", Region: "us-east-1", Store: "orders", Theirs: 10, Ours: 7},
		{Environment: "sandbox", Region: "us-east-1", Store: "x", Theirs: 1, Ours: 1},
	}
	if diff := cmp.Diff(want, r.Rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(reconcile.Row{Theirs: 21, Ours: 23}, r.Total); diff != "" || r.Total.Difference() != -2 {
		t.Errorf("total (-want +got):\n%s", diff)
	}
	if !r.Exceeds(0) || !r.Exceeds(99) || r.Exceeds(100) {
		t.Error("a store that one side does not know differs by 100 percent")
	}
}

func TestEqualCountsAreEqual(t *testing.T) {
	t.Parallel()
	counts := map[string]int64{"prod/us-east-1/orders": 10, "prod/us-east-1": 2, "": 1}
	r := compare(t, at(counts), at(counts))
	if r.Exceeds(0) || r.Total.Theirs != 13 || len(r.Rows) != 3 {
		t.Errorf("%+v", r)
	}
	if r = compare(t, at(nil), at(nil)); r.Exceeds(0) || len(r.Rows) != 0 {
		t.Errorf("nothing and nothing: %+v", r)
	}
}

func TestToleranceIsPercentOfTheLargerSide(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		theirs, ours int64
		percent      float64
		exceeds      bool
	}{
		{100, 100, 0, false}, {100, 99, 0, true}, {100, 99, 1, false}, {99, 100, 1, false}, {100, 98, 1, true}, {1000, 995, 0.5, false}, {1000, 994, 0.5, true},
		{0, 0, 0, false}, {1, 0, 99.9, true}, {0, 1, 100, false},
	} {
		if got := (reconcile.Row{Theirs: tt.theirs, Ours: tt.ours}).Exceeds(tt.percent); got != tt.exceeds {
			t.Errorf("%d and %d differ by more than %v percent: %t", tt.theirs, tt.ours, tt.percent, got)
		}
	}
}

// TestLongTimeFramesAreCutIntoAllowedOnes counts in some hours of a year. Each is
// counted once, with every period.
func TestLongTimeFramesAreCutIntoAllowedOnes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		period   reconcile.Period
		from, to time.Time
	}{
		{reconcile.Hour, noon, noon.AddDate(0, 3, 0)},
		{reconcile.Day, time.Date(2023, 12, 31, 5, 0, 0, 0, time.UTC), time.Date(2024, 12, 30, 5, 0, 0, 0, time.UTC)},
		{reconcile.Month, time.Date(2023, 2, 28, 5, 0, 0, 0, time.UTC), time.Date(2024, 12, 30, 5, 0, 0, 0, time.UTC)},
	} {
		l := at(nil)
		hours, want := make(map[time.Time]int64), int64(0)
		for i, hour := int64(0), tt.from.Truncate(time.Hour); !hour.After(tt.to); i, hour = i+1, hour.Add(37*time.Hour) {
			hours[hour] = i%7 + 1
			if hour.Before(tt.to) { // a bucket that begins at tt.to is not requested
				want += i%7 + 1
			}
		}
		l.hours["prod/us-east-1/orders"] = hours
		r, err := reconcile.Reconcile(t.Context(), reconcile.Options{
			Theirs: l, Ours: l, Organization: "org", Period: tt.period, From: tt.from, To: tt.to, Now: tt.to,
		})
		if err != nil {
			t.Fatalf("by %s: %v", tt.period, err)
		}
		if r.Total.Theirs != want || len(r.Rows) != 1 || r.Rows[0].Ours != want || r.From.After(tt.from) || r.To.Before(tt.to) {
			t.Errorf("by %s: %+v, want %d", tt.period, r, want)
		}
	}
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	counts := make(map[string]int64)
	for i := range 200 {
		counts[fmt.Sprintf("prod/us-east-1/store-%d", i)] = 1
	}
	l := at(counts)
	_, err := reconcile.Reconcile(t.Context(), reconcile.Options{
		Theirs: l, Ours: at(nil), Organization: "org", Period: reconcile.Hour, From: noon, To: noon, Now: noon, AtOnce: 3,
	})
	if err != nil || l.most > 3 || len(l.asked) != 200+2*3+0 {
		t.Errorf("%v: %d requests, %d at once", err, len(l.asked), l.most)
	}
}

func TestAnImpossibleQueryIsAnErrorOfUsage(t *testing.T) {
	t.Parallel()
	good := reconcile.Options{Theirs: at(nil), Ours: at(nil), Organization: "org", Period: reconcile.Day, From: noon, To: noon, Now: noon}
	for name, change := range map[string]func(*reconcile.Options){
		"no organization": func(o *reconcile.Options) { o.Organization = "" },
		"no period":       func(o *reconcile.Options) { o.Period = "" },
		"another period":  func(o *reconcile.Options) { o.Period = "1week" },
		"no from":         func(o *reconcile.Options) { o.From = time.Time{} },
		"backward":        func(o *reconcile.Options) { o.To = noon.Add(-1) },
		"a century":       func(o *reconcile.Options) { o.To = noon.AddDate(100, 0, 0) },
		"time to come":    func(o *reconcile.Options) { o.Now = noon.Add(-1) },
		"the present":     func(o *reconcile.Options) { o.Now = time.Time{} }, // now noon is outside the retention
	} {
		o := good
		change(&o)
		if _, err := reconcile.Reconcile(t.Context(), o); !errors.Is(err, reconcile.ErrUsage) {
			t.Errorf("%s: %v, want ErrUsage", name, err)
		}
	}
}

// TestCountsPastRetentionAreNotReportedAsEqual requests the oldest bucket that both
// sides still have, and the one before it.
func TestCountsPastRetentionAreNotReportedAsEqual(t *testing.T) {
	t.Parallel()
	lastOfMay := time.Date(2024, 5, 31, 10, 30, 0, 0, time.UTC)
	for _, tt := range []struct {
		period      reconcile.Period
		now, oldest time.Time
		says        string
	}{
		{reconcile.Hour, noon, noon.AddDate(0, -3, 0), "3 months: from may be 2024-05-15T12:00:00Z at the earliest"},
		{reconcile.Hour, lastOfMay, time.Date(2024, 2, 29, 10, 0, 0, 0, time.UTC), "3 months: from may be 2024-02-29T10:00:00Z at the earliest"},
		{reconcile.Day, noon, time.Date(2023, 8, 15, 0, 0, 0, 0, time.UTC), "12 months: from may be 2023-08-15T00:00:00Z at the earliest"},
		{reconcile.Month, noon, time.Date(2022, 8, 1, 0, 0, 0, 0, time.UTC), "24 months: from may be 2022-08-01T00:00:00Z at the earliest"},
	} {
		l := at(nil)
		o := reconcile.Options{Theirs: l, Ours: l, Organization: "org", Period: tt.period, From: tt.oldest, To: tt.oldest, Now: tt.now}
		if _, err := reconcile.Reconcile(t.Context(), o); err != nil {
			t.Errorf("by %s, the oldest: %v", tt.period, err)
		}
		l.asked = nil
		o.From, o.To = tt.oldest.Add(-1), tt.now
		if _, err := reconcile.Reconcile(t.Context(), o); !errors.Is(err, reconcile.ErrUsage) || !strings.Contains(err.Error(), tt.says) || l.asked != nil {
			t.Errorf("by %s, past retention: %v after %d requests; want %q, and no request", tt.period, err, len(l.asked), tt.says)
		}
	}
}

// says is a Source that returns the same body for every request.
type says string

func (s says) Get(context.Context, string, url.Values) ([]byte, error) { return []byte(s), nil }

func TestAnAnswerOfAnotherFormIsAnErrorThatNamesTheSide(t *testing.T) {
	t.Parallel()
	for _, body := range []says{"", "{}", "<html>", `[{"timeStamp":"yesterday"}]`, `[{"timeStamp":"2024-08-15T12:00:00Z","objectStoreRequestCount":-1}]`, `["secret`} {
		o := reconcile.Options{Theirs: at(nil), Ours: body, Organization: "org", Period: reconcile.Day, From: noon, To: noon, Now: noon}
		_, err := reconcile.Reconcile(t.Context(), o)
		if err == nil || !strings.HasPrefix(err.Error(), "the gateway's Stats API: ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", body, err)
		}
	}
}
