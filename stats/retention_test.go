package stats_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/stats"
)

// pass simulates time for a store: scope is counted in once a day between these
// instants.
func pass(t testing.TB, s stats.Store, scope stats.Scope, from, to time.Time) {
	t.Helper()
	var days []*stats.Batch
	for at := from; !at.After(to); at = at.Add(24 * time.Hour) {
		days = append(days, batch("time", uint64(at.Unix()), entry(scope, at, 1, 0)))
	}
	if len(days) > 0 {
		apply(t, s, days...)
	}
}

// TestStoreForgetsWhatIsPastRetention runs on the stores whose retention follows the
// time of the counts; Redis expires keys by its own clock, see redis_test.go. Bolt
// deletes whole chunks: a day of hours, a month of days, a year of months.
func TestStoreForgetsWhatIsPastRetention(t *testing.T) {
	t.Parallel()
	region := stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}
	type step struct {
		after            time.Time // an hour with a count in it
		hour, day, month uint64    // the counts of noon at that time
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
			passed := noon
			for i, step := range tt.steps {
				pass(t, s, stats.Scope{Plane: "us", Organization: "another"}, passed, step.after)
				passed = step.after
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
	// Hours are dropped before days: after two days of hours there is room for some of
	// the hours only, and for all days.
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
	// If more stores are used than fit into one hour, the rest is counted for their
	// region.
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
