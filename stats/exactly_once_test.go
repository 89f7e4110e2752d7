package stats_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"osgate/record"
	"osgate/stats"
)

// TestCountsAreExactForEveryAnswerOfTheStore counts in several organizations through a
// store that at random works, fails, or applies a batch and loses the answer. In the
// end the count of every store is exact.
func TestCountsAreExactForEveryAnswerOfTheStore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var next fate
		c := stats.New(stats.Options{
			Store:     faulty{Store: stats.NewMemory(stats.MemoryOptions{}), fate: func() fate { return next }},
			MaxSeries: 100,
		})
		kept := make(map[string]int)
		t.Repeat(map[string]func(*rapid.T){
			"keep": func(t *rapid.T) {
				organization := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "organization")
				store := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "store")
				at := noon.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "hour")) * time.Hour)
				c.Keep(with(get(at), func(x *record.Exchange) { x.Organization, x.Store = organization, store }))
				kept[organization+"/environments/env/regions/us-east-1/stores/"+store]++
			},
			"flush": func(t *rapid.T) {
				next = fate(rapid.IntRange(0, 2).Draw(t, "fate"))
				if err := c.Flush(t.Context()); next == works && err != nil {
					t.Fatalf("Flush: %v", err)
				}
			},
		})
		next = works
		if err := c.Flush(t.Context()); err != nil {
			t.Fatalf("Flush: %v", err)
		}
		for store, want := range kept {
			if got := totalOf(t, c, base+store+day); got != want {
				t.Fatalf("%s: got %d, want %d", store, got, want)
			}
		}
	})
}

// TestBatchInDoubtIsSentAgainUnchanged checks what reaches the store: the same batch
// until the store acknowledges it, and later counts in the next batch.
func TestBatchInDoubtIsSentAgainUnchanged(t *testing.T) {
	t.Parallel()
	spy := &spy{Store: stats.NewMemory(stats.MemoryOptions{}), err: errLost}
	c := stats.New(stats.Options{Store: spy})
	for i := range 3 {
		keep(c, i+1, get(noon))
		if err := c.Flush(t.Context()); !errors.Is(err, errLost) {
			t.Fatalf("Flush: %v, want errLost", err)
		}
	}
	spy.err = nil
	flush(t, c)
	want := "1:1 1:1 1:1 1:1 2:5"
	if got := strings.Join(spy.seen, " "); got != want {
		t.Errorf("store saw (sequence:count) %s, want %s", got, want)
	}
}

// spy records the batches that reach a store, as sequence:count, and answers as the
// test sets it.
type spy struct {
	stats.Store
	err  error
	seen []string
}

func (s *spy) Apply(_ context.Context, batches []*stats.Batch) []error {
	errs := make([]error, len(batches))
	for i, b := range batches {
		var n uint64
		for _, e := range b.Entries {
			n += e.Counts[stats.Client]
		}
		s.seen = append(s.seen, fmt.Sprintf("%d:%d", b.Sequence, n))
		errs[i] = s.err
	}
	return errs
}

// TestOneOrganizationInDoubtHoldsUpNoOther makes only the batches of one organization
// fail.
func TestOneOrganizationInDoubtHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	c := stats.New(stats.Options{Store: picky{stats.NewMemory(stats.MemoryOptions{})}})
	for range 3 {
		c.Keep(with(get(noon), func(x *record.Exchange) { x.Organization = "bad" }))
		c.Keep(get(noon))
		if err := c.Flush(t.Context()); !errors.Is(err, errLost) {
			t.Fatalf("Flush: %v, want errLost", err)
		}
	}
	if got := total(t, c, base+"org"+day, noon); got != 3 {
		t.Errorf("the other organization: %d, want 3", got)
	}
	if s := c.Status(); s.Err == nil || s.Waiting == 0 {
		t.Errorf("Status = %+v, want an error and something waiting", s)
	}
}

type picky struct{ stats.Store }

func (p picky) Apply(ctx context.Context, batches []*stats.Batch) []error {
	errs := p.Store.Apply(ctx, batches)
	for i, b := range batches {
		if b.Scope.Organization == "bad" {
			errs[i] = errLost
		}
	}
	return errs
}

func TestLargeFlushesAreCutIntoBoundedBatches(t *testing.T) {
	t.Parallel()
	var largest atomic.Int64
	c := stats.New(stats.Options{Store: measured{stats.NewMemory(stats.MemoryOptions{}), &largest}})
	const stores = 5_001
	for i := range stores {
		c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = fmt.Sprint("store-", i) }))
	}
	flush(t, c)
	if got := total(t, c, base+"org"+day, noon); got != stores {
		t.Errorf("got %d, want %d", got, stores)
	}
	if got, limit := largest.Load(), int64(stats.NewMemory(stats.MemoryOptions{}).MaxEntries()); got > limit {
		t.Errorf("largest batch has %d entries, want at most %d", got, limit)
	}
}

type measured struct {
	stats.Store
	largest *atomic.Int64
}

func (m measured) Apply(ctx context.Context, batches []*stats.Batch) []error {
	for _, b := range batches {
		m.largest.Store(max(m.largest.Load(), int64(len(b.Entries))))
	}
	return m.Store.Apply(ctx, batches)
}

// TestMemoryIsBoundedWhileTheStoreIsUnavailable fills a counter while its store does
// not answer, and then lets the store answer.
func TestMemoryIsBoundedWhileTheStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	down := true
	c := stats.New(stats.Options{MaxSeries: 50, Store: faulty{stats.NewMemory(stats.MemoryOptions{}), func() fate {
		if down {
			return fails
		}
		return works
	}}})
	const rounds, stores = 20, 30
	for round := range rounds {
		for i := range stores {
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = fmt.Sprintf("store-%d-%d", round, i) }))
		}
		_ = c.Flush(t.Context())
		if s := c.Status(); s.Waiting > 50 || s.Series > 63 {
			t.Fatalf("round %d: %d wait, %d series; want at most 50 and 63", round, s.Waiting, s.Series)
		}
	}
	down = false
	flush(t, c)
	if got := total(t, c, base+"org"+day, noon); got != rounds*stores {
		t.Errorf("got %d, want %d", got, rounds*stores)
	}
}

func TestRunFlushesEverySecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := memory(t)
		stop := run(t, c)
		c.Keep(get(noon))
		<-time.After(999 * time.Millisecond)
		synctest.Wait()
		if got := total(t, c, base+"org"+day, noon); got != 0 {
			t.Errorf("before the second is over: %d, want 0", got)
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if got := total(t, c, base+"org"+day, noon); got != 1 {
			t.Errorf("after a second: %d, want 1", got)
		}
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// run starts c.Run and returns a function that stops it and returns its error.
func run(t *testing.T, c *stats.Counter) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }() // ends by stop
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

func TestTheEndFlushesWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failures := 5
		c := stats.New(stats.Options{MaxSeries: 4, Store: faulty{stats.NewMemory(stats.MemoryOptions{}), func() fate {
			if failures--; failures >= 0 {
				return loses
			}
			return works
		}}})
		stop := run(t, c)
		for i := range 20 { // more than one flush has room for
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Organization = fmt.Sprint("org-", i%2) }))
		}
		c.Keep(with(get(noon.Add(time.Hour)), func(x *record.Exchange) { x.Organization = "org-1" }))
		if err := stop(); err != nil {
			t.Fatalf("Run: %v", err)
		}
		if got := total(t, c, base+"org-0"+day, noon) + total(t, c, base+"org-1"+day, noon); got != 21 {
			t.Errorf("got %d, want 21", got)
		}
	})
}

func TestTheEndIsBoundedAndReportsItsLosses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := faulty{stats.NewMemory(stats.MemoryOptions{}), func() fate { return fails }}
		// MaxSeries is 1, so that the second batch is not sent while the first is not
		// acknowledged.
		c := stats.New(stats.Options{Store: store, MaxSeries: 1})
		stop := run(t, c)
		keep(c, 2, get(noon))
		c.Keep(get(noon.Add(time.Hour)))
		start := time.Now()
		err := stop()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Run took %v to end, want at most 5s", took)
		}
		if !errors.Is(err, errLost) || !strings.Contains(err.Error(), "lost at most: 3 operations, 2 series") {
			t.Errorf("Run: %v, want errLost and how much is lost", err)
		}
	})
}

func TestAStoreThatHangsDoesNotHangTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := stats.New(stats.Options{Store: hanging{stats.NewMemory(stats.MemoryOptions{})}, Drain: 2 * time.Second})
		stop := run(t, c)
		c.Keep(get(noon))
		<-time.After(1500 * time.Millisecond) // a flush hangs
		start := time.Now()
		if err := stop(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: %v, want deadline exceeded", err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("Run took %v to end, want 2s", took)
		}
	})
}

func TestAFlushIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := stats.New(stats.Options{Store: hanging{stats.NewMemory(stats.MemoryOptions{})}})
		c.Keep(get(noon))
		start := time.Now()
		if err := c.Flush(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush: %v, want deadline exceeded", err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("Flush took %v, want 10s", took)
		}
	})
}

// TestAFlushThatItsCallerGaveUpDoesNotChangeTheStoresState ends Run in the middle of a
// flush: that is no failure of the store and is not reported.
func TestAFlushThatItsCallerGaveUpDoesNotChangeTheStoresState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		first := true
		c := stats.New(stats.Options{
			Store:  once{Store: stats.NewMemory(stats.MemoryOptions{}), first: &first},
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		stop := run(t, c)
		c.Keep(get(noon))
		<-time.After(1500 * time.Millisecond)
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if got := total(t, c, base+"org"+day, noon); got != 1 {
			t.Errorf("got %d, want 1", got)
		}
		if log.Len() > 0 {
			t.Errorf("the report is %s; want none", log.String())
		}
	})
}

// once is a store that hangs on the first call.
type once struct {
	stats.Store
	first *bool
}

func (o once) Apply(ctx context.Context, batches []*stats.Batch) []error {
	if *o.first {
		*o.first = false
		return hanging{o.Store}.Apply(ctx, batches)
	}
	return o.Store.Apply(ctx, batches)
}

// hanging is a store that returns only when its caller gives up.
type hanging struct{ stats.Store }

func (hanging) Apply(ctx context.Context, batches []*stats.Batch) []error {
	<-ctx.Done()
	errs := make([]error, len(batches))
	for i := range errs {
		errs[i] = ctx.Err()
	}
	return errs
}

func TestOnlyOneRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := memory(t)
		stop := run(t, c)
		synctest.Wait()
		if err := c.Run(t.Context()); err == nil {
			t.Error("a second Run ran")
		}
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestTroubleIsReportedOnceAndItsEndToo(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	next := fails
	c := stats.New(stats.Options{
		Store:  faulty{stats.NewMemory(stats.MemoryOptions{}), func() fate { return next }},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	c.Keep(get(noon))
	for range 3 {
		_ = c.Flush(t.Context())
	}
	if s := c.Status(); s.Down.IsZero() || !errors.Is(s.Err, errLost) {
		t.Errorf("Status = %+v, want down with errLost", s)
	}
	next = works
	flush(t, c)
	flush(t, c)
	if s := c.Status(); !s.Down.IsZero() || s.Err != nil || s.Waiting != 0 {
		t.Errorf("Status = %+v, want none of it", s)
	}
	if got := log.String(); strings.Count(got, "cannot be written") != 1 || strings.Count(got, "written again") != 1 {
		t.Errorf("the report is %s; want each once", got)
	}
}
