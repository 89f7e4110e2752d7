package stats_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/record"
	"osgate/stats"
)

// TestCountsSurviveRedisOutages counts without a pause while a real Redis is stopped
// and continued. The timeout is so short that answers come too late although the script
// runs.
func TestCountsSurviveRedisOutages(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := stats.New(stats.Options{Store: openRedis(t, server, 200*time.Millisecond)})
	const workers, each = 4, 20_000
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = fmt.Sprintf("store-%d", (i+w)%50) }))
			}
		})
	}
	const rounds = 6
	outages := 0
	for range rounds {
		c.Keep(get(noon)) // so that there is something to write
		server.Pause()
		if err := c.Flush(t.Context()); err != nil {
			outages++
		}
		server.Resume()
		_ = c.Flush(t.Context())
	}
	wg.Wait()
	if outages == 0 {
		t.Error("no flush met a frozen Redis")
	}
	flushUntilWritten(t, c)
	patient := stats.New(stats.Options{Store: openRedis(t, server, time.Minute)})
	if got := total(t, patient, base+"org"+day, noon); got != workers*each+rounds {
		t.Errorf("got %d, want %d", got, workers*each+rounds)
	}
}

// flushUntilWritten flushes until the store acknowledges the batches, as Run does.
func flushUntilWritten(t *testing.T, c *stats.Counter) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		if c.Flush(t.Context()) == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("counts are still not written: %+v", c.Status())
		}
	}
}

// TestCountsWhileRedisIsGoneAreWrittenWhenItIsBack kills Redis, counts, and starts it
// again, empty. The counts that Redis had are lost; those made since, and those that
// were not acknowledged, are there.
func TestCountsWhileRedisIsGoneAreWrittenWhenItIsBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := stats.New(stats.Options{Store: openRedis(t, server, time.Minute)})
	keep(c, 100, get(noon))
	flushUntilWritten(t, c)
	server.Stop()
	for range 5 {
		keep(c, 7, get(noon))
		if err := c.Flush(t.Context()); !errors.Is(err, stats.ErrUnavailable) {
			t.Fatalf("Flush without Redis: %v, want ErrUnavailable", err)
		}
	}
	if _, err := c.Answer(t.Context(), question(t, "us", base+"org"+day), noon); !errors.Is(err, stats.ErrUnavailable) {
		t.Errorf("Answer without Redis: %v, want ErrUnavailable", err)
	}
	server.Restart()
	flushUntilWritten(t, c)
	if got := total(t, c, base+"org"+day, noon); got != 35 {
		t.Errorf("got %d, want 35", got)
	}
}

// TestManyGatewaysOnOneRedisSumUp runs several counters, each with its own process
// name, with answers that get lost.
func TestManyGatewaysOnOneRedisSumUp(t *testing.T) {
	t.Parallel()
	store := openRedis(t, redistest.Start(t), time.Minute)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			n := 0
			c := stats.New(stats.Options{Store: faulty{store, func() fate { n++; return fate(n % 3) }}})
			for range 100 {
				keep(c, 3, get(noon))
				_ = c.Flush(t.Context())
			}
			flushUntilWritten(t, c)
		})
	}
	wg.Wait()
	c := stats.New(stats.Options{Store: store})
	if got := total(t, c, base+"org"+day, noon); got != 4*100*3 {
		t.Errorf("got %d, want %d", got, 4*100*3)
	}
}
