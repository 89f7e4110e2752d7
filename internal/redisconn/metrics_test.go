package redisconn_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// tripLog collects round trips.
type tripLog struct {
	mu  sync.Mutex // guards all fields
	all []redisconn.RoundTrip
}

func (l *tripLog) add(t redisconn.RoundTrip) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, t)
}

// take returns the kind and the failure of each collected round trip, and removes them.
func (l *tripLog) take(t *testing.T) (told []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, trip := range l.all {
		if trip.Took <= 0 || trip.Took > patience {
			t.Errorf("a round trip of %v", trip.Took)
		}
		told = append(told, trip.Kind+" "+trip.Failure)
	}
	l.all = nil
	return told
}

func TestRoundTripsAreCountedByKind(t *testing.T) {
	t.Parallel()
	log := &tripLog{}
	server := redistest.Start(t)
	c, _ := openWith(t, redisconn.Options{URL: server.URL(), Timeout: patience, OnTrip: log.add})
	do := func(queue func(ctx context.Context, p redis.Pipeliner)) {
		t.Helper()
		if err := c.Do(t.Context(), func(ctx context.Context, p redis.Pipeliner) error { queue(ctx, p); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	do(func(ctx context.Context, p redis.Pipeliner) { p.Get(ctx, c.Key("identity", "a")) })
	do(func(ctx context.Context, p redis.Pipeliner) {
		p.Eval(ctx, "return 1", []string{c.Key("rate", "b", "gcra")}, 1)
		p.Get(ctx, c.Key("epoch", "b"))
	})
	do(func(ctx context.Context, p redis.Pipeliner) { p.HGet(ctx, c.Key("stats", "c", "d"), "f") })
	do(func(ctx context.Context, p redis.Pipeliner) { p.Get(ctx, "somebody's") })
	do(func(ctx context.Context, p redis.Pipeliner) { p.Time(ctx) })
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"identity ", "rate ", "stats ", "other ", "other ", "probe "}
	if got := log.take(t); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	n := c.Counts()
	if n.Open < 1 || n.Idle < 1 || n.Dialed < 1 || n.Reused < 1 || n.TimedOut != 0 || n.Skipped != 0 {
		t.Errorf("counts %+v", n)
	}
}

func TestRoundTripsTellTheirTrouble(t *testing.T) {
	t.Parallel()
	log := &tripLog{}
	server := redistest.Start(t)
	c, _ := openWith(t, redisconn.Options{URL: server.URL(), Timeout: timeout + scheduling, OnTrip: log.add})
	if err := get(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	gone, leave := context.WithTimeout(t.Context(), time.Millisecond)
	defer leave()
	_, _ = get(gone, c), get(t.Context(), c)
	server.Resume()
	if got, want := log.take(t), []string{"other ", "other caller_left", "other timeout"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestRoundTripsThatAreNotMadeAreCounted(t *testing.T) {
	t.Parallel()
	log := &tripLog{}
	c, changes := openWith(t, redisconn.Options{URL: "redis://127.0.0.1:1", Timeout: patience, OnTrip: log.add})
	for range 3 {
		_ = get(t.Context(), c)
	}
	wantChanges(t, changes, false)
	if got := log.take(t); len(got) < 3 || got[0] != "other connection" {
		t.Errorf("told %q, want connections that are refused", got)
	}
	deadline := time.Now().Add(patience)
	for c.Counts().Skipped < 5 && time.Now().Before(deadline) {
		_ = get(t.Context(), c)
	}
	if n := c.Counts(); n.Skipped < 5 {
		t.Errorf("%d round trips were skipped", n.Skipped)
	}
}
