package stats_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/stats"
)

// The tests of this file are the contract of [stats.Store]: each runs on every store.

var org = stats.Scope{Plane: "us", Organization: "org"}

// inStore is the scope of a store in org.
func inStore(name string) stats.Scope {
	return stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1", Store: name}
}

func entry(scope stats.Scope, at time.Time, client, upstream uint64) stats.Entry {
	return stats.Entry{Scope: scope, Hour: stats.Hour.Start(at), Counts: stats.Counts{stats.Client: client, stats.Upstream: upstream}}
}

func batch(process string, sequence uint64, entries ...stats.Entry) *stats.Batch {
	s := entries[0].Scope
	return &stats.Batch{
		Process: process, Sequence: sequence, Entries: entries,
		Scope: stats.Scope{Plane: s.Plane, Organization: s.Organization},
	}
}

func apply(t testing.TB, s stats.Store, batches ...*stats.Batch) {
	t.Helper()
	errs := s.Apply(t.Context(), batches)
	if len(errs) != len(batches) {
		t.Fatalf("Apply of %d batches gave %d errors", len(batches), len(errs))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// count reads one number: the client's in the bucket that holds at.
func count(t testing.TB, s stats.Store, scope stats.Scope, p stats.Period, at time.Time) uint64 {
	t.Helper()
	return measure(t, s, scope, p, at, stats.Client)
}

func measure(t testing.TB, s stats.Store, scope stats.Scope, p stats.Period, at time.Time, m stats.Measure) uint64 {
	t.Helper()
	rows, err := s.Counts(t.Context(), stats.CountsQuery{Scopes: []stats.Scope{scope}, Period: p, Starts: []time.Time{p.Start(at)}, Measure: m})
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatalf("Counts: %v, %v", rows, err)
	}
	return rows[0][0]
}

func names(t testing.TB, s stats.Store, scope stats.Scope, since time.Time) []string {
	t.Helper()
	got, err := s.Names(t.Context(), scope, since)
	if err != nil {
		t.Fatalf("Names: %v", err)
	}
	if len(got) == 0 {
		return nil
	}
	slices.Sort(got)
	return got
}

func TestStoreWritesEveryLevelAndPeriod(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			apply(t, s, batch("p", 1,
				entry(inStore("a"), noon, 1, 1),
				entry(inStore("a"), noon.Add(time.Hour), 2, 0),
				entry(inStore("b"), noon.AddDate(0, 0, 1), 4, 3),
				entry(stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}, noon, 8, 8),
				entry(org, noon.AddDate(0, 1, 0), 16, 16),
			))
			tests := []struct {
				scope            stats.Scope
				period           stats.Period
				at               time.Time
				client, upstream uint64
			}{
				{inStore("a"), stats.Hour, noon, 1, 1},
				{inStore("a"), stats.Hour, noon.Add(time.Hour), 2, 0},
				{inStore("a"), stats.Hour, noon.Add(2 * time.Hour), 0, 0},
				{inStore("a"), stats.Day, noon, 3, 1},
				{inStore("a"), stats.Month, noon, 3, 1},
				{inStore("b"), stats.Day, noon, 0, 0},
				{inStore("b"), stats.Month, noon, 4, 3},
				{stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}, stats.Hour, noon, 9, 9},
				{stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}, stats.Month, noon, 15, 12},
				{stats.Scope{Plane: "us", Organization: "org", Environment: "env"}, stats.Day, noon, 11, 9},
				{org, stats.Month, noon, 15, 12},
				{org, stats.Month, noon.AddDate(0, 1, 0), 16, 16},
				{stats.Scope{Plane: "us", Organization: "org", Environment: "env"}, stats.Month, noon.AddDate(0, 1, 0), 0, 0},
				{org, stats.Month, noon.AddDate(1, 0, 0), 0, 0},
				{stats.Scope{Plane: "eu", Organization: "org"}, stats.Month, noon, 0, 0},
			}
			for _, tt := range tests {
				if got := measure(t, s, tt.scope, tt.period, tt.at, stats.Client); got != tt.client {
					t.Errorf("%+v by %v at %v, client: %d, want %d", tt.scope, tt.period, tt.at, got, tt.client)
				}
				if got := measure(t, s, tt.scope, tt.period, tt.at, stats.Upstream); got != tt.upstream {
					t.Errorf("%+v by %v at %v, upstream: %d, want %d", tt.scope, tt.period, tt.at, got, tt.upstream)
				}
			}
		})
	}
}

func TestStoreAppliesABatchOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			one, two := batch("p", 1, entry(inStore("a"), noon, 1, 0)), batch("p", 7, entry(inStore("a"), noon, 10, 0))
			other := batch("p", 3, entry(stats.Scope{Plane: "us", Organization: "other"}, noon, 100, 0))
			sameName := batch("p", 1, entry(stats.Scope{Plane: "eu", Organization: "org"}, noon, 1000, 0))
			apply(t, s, one, other)
			apply(t, s, one)
			apply(t, s, two, sameName)
			apply(t, s, two, one) // one comes late, out of a connection that was given up
			if got := count(t, s, org, stats.Hour, noon); got != 11 {
				t.Errorf("got %d, want 11", got)
			}
			if got := count(t, s, stats.Scope{Plane: "us", Organization: "other"}, stats.Hour, noon); got != 100 {
				t.Errorf("another organization: %d, want 100", got)
			}
			if got := count(t, s, stats.Scope{Plane: "eu", Organization: "org"}, stats.Hour, noon); got != 1000 {
				t.Errorf("another plane: %d, want 1000", got)
			}
			apply(t, s, batch("q", 1, entry(inStore("a"), noon, 20, 0))) // a new process counts from 1
			apply(t, s, batch("q", 1, entry(inStore("a"), noon, 20, 0)))
			if got := count(t, s, org, stats.Hour, noon); got != 31 {
				t.Errorf("after another process: %d, want 31", got)
			}
		})
	}
}

// awkward are names that would run together if a store took them as they are.
var awkward = []string{
	"a", "a/b", "b", "/", "//", "a:", ":a", "{", "}", "{a}", "a}b", "%2F", "a%2Fb", "%", "a b", "a+b", "*", "?", "[a]", "0", "ü", "名", "'", `"`, `\`, "..",
	strings.Repeat("x", 1024), strings.Repeat("/", 1024),
}

func TestStoreKeepsAwkwardNamesApart(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			want := make(map[stats.Scope]uint64)
			n := uint64(0)
			add := func(scope stats.Scope) {
				n++
				want[scope] = n
				apply(t, s, batch("p", n, entry(scope, noon, n, 0)))
			}
			for _, name := range awkward {
				add(inStore(name))
				add(stats.Scope{Plane: "us", Organization: "regions", Environment: "env", Region: name, Store: "s"})
				add(stats.Scope{Plane: "us", Organization: "environments", Environment: name, Region: "r", Store: "s"})
				add(stats.Scope{Plane: "us", Organization: name + "!", Environment: "e", Region: "r", Store: "s"})
				add(stats.Scope{Plane: name, Organization: "planes", Environment: "e", Region: "r", Store: "s"})
			}
			for scope, n := range want {
				if got := count(t, s, scope, stats.Day, noon); got != n {
					t.Errorf("%.60q: %d, want %d", fmt.Sprint(scope), got, n)
				}
			}
			sorted := slices.Sorted(slices.Values(awkward))
			for _, scope := range []stats.Scope{
				{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"},
				{Plane: "us", Organization: "regions", Environment: "env"},
				{Plane: "us", Organization: "environments"},
			} {
				if diff := cmp.Diff(sorted, names(t, s, scope, noon)); diff != "" {
					t.Errorf("names below %+v (-want +got):\n%s", scope, diff)
				}
			}
		})
	}
}

func TestStoreNamesSinceAnHour(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			region := stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}
			apply(t, s, batch("p", 1, entry(inStore("old"), noon.Add(-2*time.Hour), 1, 0), entry(inStore("new"), noon, 1, 0), entry(inStore("both"), noon, 1, 0)))
			apply(t, s, batch("p", 2, entry(inStore("both"), noon.Add(-2*time.Hour), 1, 0))) // what came late makes nothing older
			tests := []struct {
				since time.Time
				want  []string
			}{
				{noon.Add(-24 * time.Hour), []string{"both", "new", "old"}},
				{noon.Add(-61 * time.Minute), []string{"both", "new", "old"}},
				{noon.Add(-time.Minute), []string{"both", "new"}},
				{noon.Add(59 * time.Minute), []string{"both", "new"}},
				{noon.Add(time.Hour), nil},
			}
			for _, tt := range tests {
				if diff := cmp.Diff(tt.want, names(t, s, region, tt.since)); diff != "" {
					t.Errorf("since %v (-want +got):\n%s", tt.since, diff)
				}
			}
			if diff := cmp.Diff([]string{"us-east-1"}, names(t, s, stats.Scope{Plane: "us", Organization: "org", Environment: "env"}, noon)); diff != "" {
				t.Errorf("regions (-want +got):\n%s", diff)
			}
			if got := names(t, s, inStore("new"), noon); len(got) != 0 {
				t.Errorf("below a store: %q, want nothing", got)
			}
		})
	}
}

func TestStoreReadsManyScopesAndBucketsInOrder(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			start := time.Date(2023, 12, 30, 22, 0, 0, 0, time.UTC) // its hours, days and months reach into another day, month and year
			sequence := uint64(0)
			for i := range 4 {
				sequence++
				apply(t, s, batch("p", sequence, entry(inStore("a"), start.Add(time.Duration(i)*time.Hour), 1, 0),
					entry(inStore("b"), start.AddDate(0, 0, i), 10, 0), entry(inStore("c"), start.AddDate(0, i, 0), 100, 0)))
			}
			scopes := []stats.Scope{inStore("b"), inStore("none"), inStore("a"), inStore("c")}
			tests := []struct {
				period stats.Period
				next   func(time.Time, int) time.Time
				want   [][]uint64
			}{
				{stats.Hour, func(t time.Time, i int) time.Time { return t.Add(time.Duration(i) * time.Hour) },
					[][]uint64{{10, 0, 0, 0}, {0, 0, 0, 0}, {1, 1, 1, 1}, {100, 0, 0, 0}}},
				{stats.Day, func(t time.Time, i int) time.Time { return t.AddDate(0, 0, i) },
					[][]uint64{{10, 10, 10, 10}, {0, 0, 0, 0}, {2, 2, 0, 0}, {100, 0, 0, 0}}},
				{stats.Month, func(t time.Time, i int) time.Time { return t.AddDate(0, i, 0) },
					[][]uint64{{20, 20, 0, 0}, {0, 0, 0, 0}, {4, 0, 0, 0}, {100, 100, 100, 100}}},
			}
			for _, tt := range tests {
				q := stats.CountsQuery{Scopes: scopes, Period: tt.period}
				for i := range 4 {
					q.Starts = append(q.Starts, tt.next(tt.period.Start(start), i))
				}
				if tt.period == stats.Month { // 30 February is in March
					tt.want[3] = []uint64{100, 100, 0, 200}
				}
				got, err := s.Counts(t.Context(), q)
				if err != nil {
					t.Fatalf("Counts: %v", err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("by %v (-want +got):\n%s", tt.period, diff)
				}
			}
		})
	}
}

func TestStoreTrees(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			save := func(plane, root string, subs ...string) {
				t.Helper()
				if err := s.SaveTree(t.Context(), stats.Tree{Plane: plane, Root: root, Subs: subs}); err != nil {
					t.Fatalf("SaveTree: %v", err)
				}
			}
			save("us", "root", "sub-2", "sub-1")
			save("us", "root", "sub-3", "sub-1") // adds
			save("us", "root")
			save("us", "roo", "t{sub}/1")
			save("eu", "root", "sub-9")
			tests := []struct {
				plane, organization string
				want                stats.Tree
			}{
				{"us", "root", stats.Tree{Plane: "us", Root: "root", Subs: []string{"sub-1", "sub-2", "sub-3"}}},
				{"us", "roo", stats.Tree{Plane: "us", Root: "roo", Subs: []string{"t{sub}/1"}}},
				{"us", "sub-2", stats.Tree{Plane: "us", Root: "root"}},
				{"us", "t{sub}/1", stats.Tree{Plane: "us", Root: "roo"}},
				{"eu", "root", stats.Tree{Plane: "eu", Root: "root", Subs: []string{"sub-9"}}},
				{"eu", "sub-1", stats.Tree{Plane: "eu", Root: "sub-1"}},
				{"us", "stranger", stats.Tree{Plane: "us", Root: "stranger"}},
			}
			for _, tt := range tests {
				got, err := s.Tree(t.Context(), tt.plane, tt.organization)
				if err != nil {
					t.Fatalf("Tree: %v", err)
				}
				slices.Sort(got.Subs)
				if len(got.Subs) == 0 {
					got.Subs = nil
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("Tree(%s, %s) (-want +got):\n%s", tt.plane, tt.organization, diff)
				}
			}
		})
	}
}

func TestStoreTakesAFullBatchOfStores(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			var entries []stats.Entry
			full := s.MaxEntries()
			for i := range full {
				entries = append(entries, entry(inStore(fmt.Sprint("store-", i)), noon, uint64(i), 1))
			}
			apply(t, s, batch("p", 1, entries...))
			if got := measure(t, s, org, stats.Month, noon, stats.Upstream); got != uint64(full) {
				t.Errorf("got %d, want %d", got, full)
			}
			if got := len(names(t, s, stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}, noon)); got != full {
				t.Errorf("%d names, want %d", got, full)
			}
		})
	}
}

func TestStoreAppliesNothingWhenItsCallerIsGone(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			b := batch("p", 1, entry(inStore("a"), noon, 1, 0))
			if errs := s.Apply(ctx, []*stats.Batch{b}); !errors.Is(errs[0], context.Canceled) {
				t.Errorf("Apply: %v, want canceled", errs)
			}
			if got := count(t, s, org, stats.Hour, noon); got != 0 {
				t.Errorf("got %d, want 0", got)
			}
		})
	}
}

func TestStoreIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			const writers, each = 4, 25
			done := make(chan struct{})
			for w := range writers {
				go func() {
					defer func() { done <- struct{}{} }()
					scope := stats.Scope{Plane: "us", Organization: fmt.Sprint("org-", w)}
					for i := range each {
						if err := s.Apply(t.Context(), []*stats.Batch{batch("p", uint64(i+1), entry(scope, noon, 1, 0))})[0]; err != nil {
							t.Errorf("Apply: %v", err)
						}
						if _, err := s.Names(t.Context(), scope, noon); err != nil {
							t.Errorf("Names: %v", err)
						}
						if _, err := s.Counts(t.Context(), stats.CountsQuery{Scopes: []stats.Scope{scope}, Starts: []time.Time{noon}}); err != nil {
							t.Errorf("Counts: %v", err)
						}
					}
				}()
			}
			for range writers {
				<-done
			}
			for w := range writers {
				if got := count(t, s, stats.Scope{Plane: "us", Organization: fmt.Sprint("org-", w)}, stats.Day, noon); got != each {
					t.Errorf("writer %d: %d, want %d", w, got, each)
				}
			}
		})
	}
}

// TestStoreForgetsWhatIsPastRetention holds for the stores that the clock of the counts drives; Redis expires by its own, see redis_test.go. Bolt
// forgets by the chunk: a day of hours, a month of days, a year of months.
func TestStoreForgetsWhatIsPastRetention(t *testing.T) {
	t.Parallel()
	region := stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}
	type step struct {
		after            time.Time // an hour counted in
		hour, day, month uint64    // of noon, then
		names            []string
	}
	tests := []struct {
		name  string
		store stats.Store
		steps []step
	}{
		{"memory", stats.NewMemory(stats.MemoryOptions{}), []step{
			{noon.AddDate(0, 3, 0), 1, 1, 1, []string{"a"}},
			{noon.AddDate(0, 3, 0).Add(time.Hour), 0, 1, 1, []string{"a"}},
			{noon.AddDate(0, 12, 0), 0, 1, 1, []string{"a"}},
			{noon.AddDate(0, 12, 1), 0, 0, 1, []string{"a"}},
			{noon.AddDate(0, 24, 16), 0, 0, 1, []string{"a"}},
			{noon.AddDate(0, 24, 17), 0, 0, 0, nil},
		}},
		{"bolt", openBolt(t, t.TempDir()), []step{
			{noon.AddDate(0, 3, 0).Add(11 * time.Hour), 1, 1, 1, []string{"a"}},
			{noon.AddDate(0, 3, 0).Add(12 * time.Hour), 0, 1, 1, []string{"a"}},
			{noon.AddDate(0, 12, 16), 0, 1, 1, []string{"a"}},
			{noon.AddDate(0, 12, 17), 0, 0, 1, []string{"a"}},
			{noon.AddDate(0, 24, 16), 0, 0, 1, []string{"a"}},
			{noon.AddDate(0, 24, 17), 0, 0, 1, nil},
			{time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC), 0, 0, 1, nil},
			{time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), 0, 0, 0, nil},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.store
			apply(t, s, batch("p", 1, entry(inStore("a"), noon, 1, 0)))
			for i, step := range tt.steps {
				apply(t, s, batch("p", uint64(i+2), entry(org, step.after, 1, 0)))
				got := []uint64{
					count(t, s, inStore("a"), stats.Hour, noon),
					count(t, s, inStore("a"), stats.Day, noon),
					count(t, s, inStore("a"), stats.Month, noon),
				}
				if diff := cmp.Diff([]uint64{step.hour, step.day, step.month}, got); diff != "" {
					t.Errorf("when %v is counted (-want +got):\n%s", step.after, diff)
				}
				if diff := cmp.Diff(step.names, names(t, s, region, noon)); diff != "" {
					t.Errorf("names when %v is counted (-want +got):\n%s", step.after, diff)
				}
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := stats.NewMemory(stats.MemoryOptions{MaxBuckets: 120})
	sequence := uint64(0)
	add := func(name string, at time.Time) {
		sequence++
		apply(t, s, batch("p", sequence, entry(inStore(name), at, 1, 0)))
	}
	// Hours go before days: after two days of hours there is room for some hours of each only, and all of the days.
	for i := range 48 {
		add("a", noon.Add(time.Duration(i)*time.Hour))
	}
	if got := count(t, s, inStore("a"), stats.Hour, noon); got != 0 {
		t.Errorf("the oldest hour: %d, want it gone", got)
	}
	if got := count(t, s, inStore("a"), stats.Hour, noon.Add(47*time.Hour)); got != 1 {
		t.Errorf("the latest hour: %d, want 1", got)
	}
	if got := count(t, s, inStore("a"), stats.Month, noon); got != 48 {
		t.Errorf("the month: %d, want 48", got)
	}
	// More stores than fit into one hour are counted for their region.
	at := noon.Add(48 * time.Hour)
	for i := range 500 {
		add(fmt.Sprint("store-", i), at)
	}
	region := stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}
	if got := count(t, s, region, stats.Hour, at); got != 500 {
		t.Errorf("the region: %d, want 500", got)
	}
	if got := len(names(t, s, region, at)); got > 120 {
		t.Errorf("%d stores are kept, want at most 120", got)
	}
}
