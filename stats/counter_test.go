package stats_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/record"
	"osgate/stats"
)

func TestCountedExchanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		change           func(*record.Exchange)
		client, upstream int
	}{
		{"200 of upstream", func(*record.Exchange) {}, 1, 1},
		{"201", func(x *record.Exchange) { x.Status = http.StatusCreated }, 1, 1},
		{"204", func(x *record.Exchange) { x.Status = http.StatusNoContent }, 1, 1},
		{"299", func(x *record.Exchange) { x.Status = 299 }, 1, 1},
		{"several attempts are one operation", func(x *record.Exchange) { x.UpstreamAttempts = 3 }, 1, 1},
		{"a hit", func(x *record.Exchange) { x.Hit, x.UpstreamAttempts, x.UpstreamStatus = true, 0, 0 }, 1, 0},
		{"304 of ours from the cache", func(x *record.Exchange) { x.Status, x.Hit, x.UpstreamAttempts, x.UpstreamStatus = 304, true, 0, 0 }, 1, 0},
		{"304 of ours to a fetched 200", func(x *record.Exchange) { x.Status = 304 }, 1, 1},
		{"304 of upstream", func(x *record.Exchange) { x.Status, x.UpstreamStatus = 304, 304 }, 0, 0},
		{"an answer cut on its way", func(x *record.Exchange) { x.Aborted = true }, 1, 1},
		{"a client gone before Object Store had answered", func(x *record.Exchange) { x.Status, x.UpstreamStatus = 499, 0 }, 0, 0},
		{"a client gone, and Object Store has answered", func(x *record.Exchange) { x.Status = 499 }, 0, 1},
		{"something stale, because Object Store failed", func(x *record.Exchange) { x.Hit, x.UpstreamStatus = true, 503 }, 1, 0},
		{"404", func(x *record.Exchange) { x.Status, x.UpstreamStatus = 404, 404 }, 0, 0},
		{"429", func(x *record.Exchange) { x.Status, x.UpstreamStatus = 429, 429 }, 0, 0},
		{"500", func(x *record.Exchange) { x.Status, x.UpstreamStatus = 500, 500 }, 0, 0},
		{"a redirect", func(x *record.Exchange) { x.Status, x.UpstreamStatus = 302, 302 }, 0, 0},
		{"no status", func(x *record.Exchange) { x.Status, x.UpstreamStatus = 0, 0 }, 0, 0},
		{"the Stats API", func(x *record.Exchange) { x.Surface = record.SurfaceStats }, 0, 0},
		{"Access Management", func(x *record.Exchange) { x.Surface = record.SurfaceAccounts }, 0, 0},
		{"no surface", func(x *record.Exchange) { x.Surface = record.SurfaceNone }, 0, 0},
		{"no organization", func(x *record.Exchange) { x.Organization = "" }, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := memory(t)
			c.Keep(with(get(noon), tt.change))
			flush(t, c)
			if got := total(t, c, base+"org"+day, noon); got != tt.client {
				t.Errorf("source=client: %d, want %d", got, tt.client)
			}
			if got := total(t, c, base+"org"+day+"&source=upstream", noon); got != tt.upstream {
				t.Errorf("source=upstream: %d, want %d", got, tt.upstream)
			}
		})
	}
}

func TestCountedAtEveryLevelItHas(t *testing.T) {
	t.Parallel()
	levels := []string{"org", "org/environments/env", "org/environments/env/regions/us-east-1", "org/environments/env/regions/us-east-1/stores/store"}
	tests := []struct {
		name   string
		change func(*record.Exchange)
		levels int
	}{
		{"a store", func(*record.Exchange) {}, 4},
		{"the list of stores", func(x *record.Exchange) { x.Store = "" }, 3},
		{"the list of regions", func(x *record.Exchange) { x.Environment, x.Store = "", "" }, 1},
		{"a store whose name is too long to be one", func(x *record.Exchange) { x.Store = strings.Repeat("s", 1025) }, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := memory(t)
			c.Keep(with(get(noon), tt.change))
			flush(t, c)
			for i, level := range levels {
				want := 0
				if i < tt.levels {
					want = 1
				}
				for _, period := range []string{"1hour", "1day", "1month"} {
					target := base + level + "?startDate=2024-08-15T12:00:00Z&endDate=2024-08-15T12:00:00Z&period=" + period
					if got := total(t, c, target, noon); got != want {
						t.Errorf("%s by %s: %d, want %d", level, period, got, want)
					}
				}
			}
			if got := answer(t, c, base+allPaths[5]+day, noon); (got == `["store"]`) != (tt.levels == 4) {
				t.Errorf("stores: %s", got)
			}
		})
	}
}

// TestNoNameIsTooLongForAStore counts names that are too long for any key of a file, at
// each level. They must not block the counts that come after them.
func TestNoNameIsTooLongForAStore(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("/", 40_000)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			c := stats.New(stats.Options{Store: kind.open(t)})
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = long }))
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Region = long }))
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Environment = long }))
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Organization = long }))
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Plane = long }))
			c.LearnTree("us", "org", []string{long})
			c.LearnTree("us", long, []string{"sub"})
			flush(t, c)
			if got := total(t, c, base+"org"+day, noon); got != 3 {
				t.Errorf("got %d, want 3", got)
			}
		})
	}
}

func TestAnExchangeCountsInTheHourItStarted(t *testing.T) {
	t.Parallel()
	c := memory(t)
	c.Keep(with(get(noon.Add(-time.Nanosecond)), func(x *record.Exchange) { x.Duration = time.Minute }))
	c.Keep(get(noon))
	c.Keep(get(noon.In(time.FixedZone("", 5400))))
	flush(t, c)
	want := `[{"timeStamp":"2024-08-15T11:00:00Z","objectStoreRequestCount":1},{"timeStamp":"2024-08-15T12:00:00Z","objectStoreRequestCount":2}]`
	if got := answer(t, c, base+"org?startDate=2024-08-15T11:00:00Z&endDate=2024-08-15T13:00:00Z&period=1hour", noon); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKeepAllocatesNothingOnceASeriesIsKnown(t *testing.T) {
	c := memory(t)
	x := get(time.Now())
	c.Keep(x)
	flush(t, c)
	c.Keep(x)
	if n := testing.AllocsPerRun(1000, func() { c.Keep(x) }); n != 0 {
		t.Errorf("Keep allocates %v times, want 0", n)
	}
}

// TestKeepHoldsNothingOfTheExchange counts names that are substrings of long request
// targets: the counter must not keep the targets in memory. It is not parallel, because
// it measures the heap.
func TestKeepHoldsNothingOfTheExchange(t *testing.T) {
	const requests, targetBytes = 64, 1 << 20
	c := memory(t)
	before := heap()
	for i := range requests {
		target := fmt.Sprintf("org-%02d env us-east-1 store", i) + strings.Repeat("x", targetBytes)
		c.Keep(with(get(noon), func(x *record.Exchange) {
			x.Organization, x.Environment, x.Region, x.Store = target[:6], target[7:10], target[11:20], target[21:26]
		}))
	}
	if grown := heap() - before; grown > requests*targetBytes/4 {
		t.Errorf("the heap has grown by %d bytes after %d requests of %d", grown, requests, targetBytes)
	}
	flush(t, c)
	if got := total(t, c, base+"org-63/environments/env/regions/us-east-1/stores/store"+day, noon); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMoreSeriesThanFitCountAtTheLevelsAbove checks that sums stay exact and memory
// stays bounded when more stores are used than there is room for.
func TestMoreSeriesThanFitCountAtTheLevelsAbove(t *testing.T) {
	t.Parallel()
	const maxSeries, storesUsed = 40, 1000
	var log strings.Builder
	c := stats.New(stats.Options{
		Store:     stats.NewMemory(stats.MemoryOptions{}),
		MaxSeries: maxSeries,
		Logger:    slog.New(slog.NewTextHandler(&log, nil)),
	})
	for i := range storesUsed {
		c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = fmt.Sprint("store-", i) }))
	}
	s := c.Status()
	if s.Series > maxSeries*5/4+1 {
		t.Errorf("%d series in memory, want at most %d", s.Series, maxSeries*5/4+1)
	}
	if s.Coarsened != storesUsed-maxSeries || s.Dropped != 0 {
		t.Errorf("coarsened %d, dropped %d; want %d and 0", s.Coarsened, s.Dropped, storesUsed-maxSeries)
	}
	flush(t, c)
	for _, level := range []string{"org", "org/environments/env", "org/environments/env/regions/us-east-1"} {
		if got := total(t, c, base+level+day, noon); got != storesUsed {
			t.Errorf("%s: %d, want %d", level, got, storesUsed)
		}
	}
	if n := strings.Count(log.String(), "more series than fit"); n != 1 {
		t.Errorf("reported %d times, want once: %s", n, log.String())
	}
	// A flush makes room for new series.
	c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = "one-more" }))
	flush(t, c)
	if got := total(t, c, base+"org/environments/env/regions/us-east-1/stores/one-more"+day, noon); got != 1 {
		t.Errorf("after a flush: %d, want 1", got)
	}
}

// TestFlushedSeriesMakeRoom uses other stores after each flush, within one hour: the
// series that were flushed before make room for them.
func TestFlushedSeriesMakeRoom(t *testing.T) {
	t.Parallel()
	const maxSeries = 40
	synctest.Test(t, func(t *testing.T) {
		c := stats.New(stats.Options{Store: stats.NewMemory(stats.MemoryOptions{}), MaxSeries: maxSeries})
		for round := range 4 {
			for i := range maxSeries {
				c.Keep(with(get(time.Now()), func(x *record.Exchange) { x.Store = fmt.Sprintf("store-%d-%d", round, i) }))
			}
			flush(t, c)
		}
		if s := c.Status(); s.Coarsened != 0 || s.Dropped != 0 {
			t.Errorf("coarsened %d, dropped %d; want none", s.Coarsened, s.Dropped)
		}
	})
}

func TestOverflowIsReportedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		c := stats.New(stats.Options{
			Store:     stats.NewMemory(stats.MemoryOptions{}),
			MaxSeries: 1,
			Logger:    slog.New(slog.NewTextHandler(&log, nil)),
		})
		for range 90 {
			for i := range 3 {
				c.Keep(with(get(time.Now()), func(x *record.Exchange) { x.Store = fmt.Sprint("store-", i) }))
			}
			flush(t, c)
			<-time.After(time.Second)
		}
		if n := strings.Count(log.String(), "more series than fit"); n != 2 {
			t.Errorf("reported %d times in 90 seconds, want 2", n)
		}
	})
}

func TestMoreOrganizationsThanFitAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	c := stats.New(stats.Options{Store: stats.NewMemory(stats.MemoryOptions{}), MaxSeries: 8})
	for i := range 100 {
		c.Keep(with(get(noon), func(x *record.Exchange) { x.Organization = fmt.Sprint("org-", i) }))
	}
	flush(t, c)
	counted := 0
	for i := range 100 {
		counted += total(t, c, base+fmt.Sprint("org-", i)+day, noon)
	}
	if s := c.Status(); s.Dropped == 0 || counted+int(s.Dropped) != 100 {
		t.Errorf("counted %d, dropped %d; want 100 in all, some of them dropped", counted, s.Dropped)
	}
}

func TestSeriesOfPastHoursLeaveMemory(t *testing.T) {
	t.Parallel()
	c := memory(t)
	for i := range 100 {
		c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = fmt.Sprint("store-", i) }))
	}
	flush(t, c)
	if n := c.Status().Series; n != 0 {
		t.Errorf("%d series of years ago in memory after their flush, want 0", n)
	}
	c.Keep(get(time.Now()))
	flush(t, c)
	if n := c.Status().Series; n != 1 {
		t.Errorf("%d series in memory, want the one of this hour", n)
	}
}

func TestNewNeedsAStore(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("New without a store did not panic")
		}
	}()
	stats.New(stats.Options{})
}
