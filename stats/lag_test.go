package stats_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"osgate/stats"
)

// refusing is a store that cannot be written.
type refusing struct{ stats.Store }

func (refusing) Apply(_ context.Context, batches []*stats.Batch) []error {
	errs := make([]error, len(batches))
	for i := range errs {
		errs[i] = stats.ErrUnavailable
	}
	return errs
}

func TestLagGrowsUntilEverythingIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lag := func(c *stats.Counter) time.Duration {
			s := c.Status()
			return s.Lag(time.Now())
		}
		store := stats.NewMemory(stats.MemoryOptions{})
		c := stats.New(stats.Options{Store: store})
		<-time.After(3 * time.Second)
		if got := lag(c); got != 3*time.Second {
			t.Errorf("%v before the first flush, want the 3s since the start", got)
		}
		c.Keep(get(time.Now()))
		flush(t, c)
		if got := lag(c); got != 0 {
			t.Errorf("%v after a flush, want 0", got)
		}
		lost := stats.New(stats.Options{Store: refusing{store}})
		lost.Keep(get(time.Now()))
		<-time.After(time.Minute)
		if err := lost.Flush(t.Context()); err == nil || lag(lost) != time.Minute {
			t.Errorf("%v after a flush that failed with %v, want 1m", lag(lost), err)
		}
	})
}

// slow is a store that takes some time for each call.
type slow struct{ stats.Store }

func (s slow) Apply(ctx context.Context, batches []*stats.Batch) []error {
	<-time.After(3 * time.Second)
	return s.Store.Apply(ctx, batches)
}

// TestLagCountsFromTheBeginningOfAFlush checks that the lag is measured from the
// beginning of a flush, because the flush does not contain what is counted while it
// runs.
func TestLagCountsFromTheBeginningOfAFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stats.New(stats.Options{Store: slow{stats.NewMemory(stats.MemoryOptions{})}})
		c.Keep(get(time.Now()))
		flush(t, c)
		if s := c.Status(); s.Lag(time.Now()) != 3*time.Second {
			t.Errorf("%v after a flush of 3s, want that", s.Lag(time.Now()))
		}
	})
}
