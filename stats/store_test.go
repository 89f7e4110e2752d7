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

// count returns one number: the client's operations in the bucket that contains at.
func count(t testing.TB, s stats.Store, scope stats.Scope, p stats.Period, at time.Time) uint64 {
	t.Helper()
	return measure(t, s, scope, p, at, stats.Client)
}

func measure(t testing.TB, s stats.Store, scope stats.Scope, p stats.Period, at time.Time, m stats.Measure) uint64 {
	t.Helper()
	rows, err := s.Counts(t.Context(), stats.CountsQuery{
		Scopes: []stats.Scope{scope}, Period: p, Starts: []time.Time{p.Start(at)}, Measures: []stats.Measure{m},
	})
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatalf("Counts: %v, %v", rows, err)
	}
	return rows[0][0][m]
}

// clients returns the client's operations of each row.
func clients(rows [][]stats.Counts) [][]uint64 {
	all := make([][]uint64, len(rows))
	for i, row := range rows {
		for _, n := range row {
			all[i] = append(all[i], n[stats.Client])
		}
	}
	return all
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
			apply(t, s, two, one) // one comes late, from a connection that was given up
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

// awkward are names that could be confused if a store used them unencoded.
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
			apply(t, s, batch("p", 2, entry(inStore("both"), noon.Add(-2*time.Hour), 1, 0))) // a late count makes no scope older
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
			if all, err := s.Names(t.Context(), region, noon.Add(-24*time.Hour)); err != nil || len(all) != 3 || all[2] != "old" {
				t.Errorf("names %q, %v; want the latest first", all, err)
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
			// Hours, days and months from here continue into another day, month and
			// year.
			start := time.Date(2023, 12, 30, 22, 0, 0, 0, time.UTC)
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
				q := stats.CountsQuery{Scopes: scopes, Period: tt.period, Measures: []stats.Measure{stats.Client}}
				for i := range 4 {
					q.Starts = append(q.Starts, tt.next(tt.period.Start(start), i))
				}
				if tt.period == stats.Month { // 30 February would be in March
					tt.want[3] = []uint64{100, 100, 0, 200}
				}
				got, err := s.Counts(t.Context(), q)
				if err != nil {
					t.Fatalf("Counts: %v", err)
				}
				if diff := cmp.Diff(tt.want, clients(got)); diff != "" {
					t.Errorf("by %v (-want +got):\n%s", tt.period, diff)
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

func TestStoreAppliesNoBatchWhenItsCallerHasLeft(t *testing.T) {
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
