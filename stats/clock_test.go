package stats_test

import (
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"osgate/stats"
)

// holdsWhatWasCounted fails the test unless store a has a count of 1 at that instant in
// every period, and the store and its organization are listed.
func holdsWhatWasCounted(t *testing.T, s stats.Store, at time.Time, when string) {
	t.Helper()
	for _, p := range []stats.Period{stats.Hour, stats.Day, stats.Month} {
		if got := count(t, s, inStore("a"), p, at); got != 1 {
			t.Errorf("%s: %d by %v, want 1", when, got, p)
		}
	}
	region := stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}
	if got := names(t, s, region, at); !slices.Contains(got, "a") {
		t.Errorf("%s: names %q, want a among them", when, got)
	}
	if got := organizations(t, s, at, 10); !slices.Contains(got, org) {
		t.Errorf("%s: organizations %v, want org among them", when, got)
	}
}

// TestAWrongClockCostsNoHistory counts like a gateway whose clock is five years ahead
// for a while, and then right again.
func TestAWrongClockCostsNoHistory(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			now := stats.Hour.Start(time.Now()) // Redis reads its own clock
			other := stats.Scope{Plane: "us", Organization: "other"}
			apply(t, s, batch("p", 1, entry(inStore("a"), now, 1, 0)))
			for i := range 150 { // flushes of some minutes, all in the same hour
				apply(t, s, batch("q", uint64(i+1), entry(other, now.AddDate(5, 0, 0), 1, 0), entry(inOther, now.AddDate(5, 0, 0), 1, 0)))
			}
			holdsWhatWasCounted(t, s, now, "while the clock is ahead")
			apply(t, s, batch("q", 1000, entry(other, now.Add(time.Hour), 1, 0)), batch("p", 2, entry(inStore("b"), now.Add(time.Hour), 1, 0)))
			holdsWhatWasCounted(t, s, now, "when it is right again")
		})
	}
}

// inOther is a store of an organization other than org.
var inOther = stats.Scope{Plane: "us", Organization: "other", Environment: "env", Region: "us-east-1", Store: "a"}

// TestAClockThatIsAheadInTheSameOrganization has names in one sorted set in Redis,
// which the batch itself would shorten.
func TestAClockThatIsAheadInTheSameOrganization(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			now := stats.Hour.Start(time.Now())
			apply(t, s, batch("p", 1, entry(inStore("a"), now, 1, 0)))
			apply(t, s, batch("p", 2, entry(inStore("b"), now.AddDate(5, 0, 0), 1, 0)))
			holdsWhatWasCounted(t, s, now, "after one batch from the future")
		})
	}
}

// TestRetentionCatchesUpAfterARest counts in an hour two years after the last one, and
// in the hours after it.
func TestRetentionCatchesUpAfterARest(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds[:2] { // Redis has its own clock
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			apply(t, s, batch("p", 1, entry(inStore("a"), noon, 1, 0)))
			again := noon.AddDate(2, 0, 0)
			var hours []*stats.Batch
			for i := range 3 * 365 {
				hours = append(hours, batch("p", uint64(i+2), entry(org, again.Add(time.Duration(i)*time.Hour), 1, 0)))
			}
			apply(t, s, hours[:90]...)
			if got := count(t, s, inStore("a"), stats.Hour, noon); got != 1 {
				t.Errorf("after 90 hours: %d, want 1", got)
			}
			apply(t, s, hours[90:]...)
			if got := count(t, s, inStore("a"), stats.Hour, noon); got != 0 {
				t.Errorf("after %d hours: %d, want it forgotten", len(hours), got)
			}
		})
	}
}

// TestAFileThatKnewNoHorizonHasOne opens a file of an older version, with a clock that
// is ahead.
func TestAFileThatKnewNoHorizonHasOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openBolt(t, dir)
	apply(t, s, batch("p", 1, entry(inStore("a"), noon, 1, 0)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, dir, func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("horizon")) })
	s = openBolt(t, dir)
	apply(t, s, batch("q", 1, entry(inOther, noon.AddDate(5, 0, 0), 1, 0)))
	holdsWhatWasCounted(t, s, noon, "after the upgrade")
}

// TestAClockThatWasAheadAtTheFirstStartCostsNothingLater starts a store in the future
// and continues in the present.
func TestAClockThatWasAheadAtTheFirstStartCostsNothingLater(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			now := stats.Hour.Start(time.Now())
			apply(t, s, batch("p", 1, entry(inOther, now.AddDate(5, 0, 0), 1, 0)))
			apply(t, s, batch("p", 1, entry(inStore("a"), now, 1, 0)))
			apply(t, s, batch("p", 2, entry(org, now.Add(time.Hour), 1, 0)))
			holdsWhatWasCounted(t, s, now, "an hour later")
		})
	}
}
