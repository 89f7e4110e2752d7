package stats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"osgate/record"
	"osgate/stats"
)

// late is a store that can be written. Every second read fails because its answer comes
// too late, or every read.
type late struct {
	stats.Store

	more  bool // every read fails
	reads atomic.Int64
}

func (s *late) miss() error {
	if n := s.reads.Add(1); s.more || n%2 == 1 {
		return fmt.Errorf("%w: late", stats.ErrUnavailable)
	}
	return nil
}

func (s *late) Counts(ctx context.Context, q stats.CountsQuery) ([][]stats.Counts, error) {
	if err := s.miss(); err != nil {
		return nil, err
	}
	return s.Store.Counts(ctx, q)
}

func (s *late) Names(ctx context.Context, scope stats.Scope, since time.Time) ([]string, error) {
	if err := s.miss(); err != nil {
		return nil, err
	}
	return s.Store.Names(ctx, scope, since)
}

func (s *late) Organizations(ctx context.Context, since time.Time, limit int) ([]stats.Scope, error) {
	if err := s.miss(); err != nil {
		return nil, err
	}
	return s.Store.Organizations(ctx, since, limit)
}

func (s *late) Tree(ctx context.Context, plane, organization string) (stats.Tree, error) {
	if err := s.miss(); err != nil {
		return stats.Tree{}, err
	}
	return s.Store.Tree(ctx, plane, organization)
}

// crowd counts once in each of many stores of a late store: more stores than are read
// at once.
func crowd(t *testing.T, s *late) *stats.Counter {
	t.Helper()
	s.Store = stats.NewMemory(stats.MemoryOptions{})
	c := stats.New(stats.Options{Store: s})
	for i := range 1200 {
		c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = fmt.Sprint("store-", i) }))
	}
	flush(t, c)
	return c
}

const storesOfTheDay = base + "org/environments/env/regions/us-east-1/stores" + day

func TestALateReadIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	s := &late{}
	c := crowd(t, s)
	if got := strings.Count(answer(t, c, storesOfTheDay, noon), `"store-`); got != 1200 || s.reads.Load() != 8 {
		t.Errorf("%d stores in %d reads; want 1200, and the names and each of three parts read twice", got, s.reads.Load())
	}
	if got := total(t, c, base+"org"+day+"&isMaster=true", noon); got != 1200 {
		t.Errorf("%d with sub-organizations, want 1200", got)
	}
	for _, organization := range []string{"", "org"} {
		plane := map[bool]string{true: "us"}[organization != ""]
		h, err := c.History(t.Context(), stats.HistoryQuery{Plane: plane, Organization: organization, From: noon, To: noon}, noon)
		if err != nil || len(h.Children) != 1 || h.Buckets[0].Client != 1200 {
			t.Errorf("history of %q: %+v, %v; want one child and 1200", organization, h, err)
		}
	}
}

func TestAnUnavailableStoreIsReadTwiceAndNoMore(t *testing.T) {
	t.Parallel()
	s := &late{more: true}
	c := crowd(t, s)
	op := question(t, "us", storesOfTheDay)
	if _, err := c.Answer(t.Context(), op, noon); !errors.Is(err, stats.ErrUnavailable) || s.reads.Load() != 2 {
		t.Errorf("%v after %d reads, want ErrUnavailable after 2", err, s.reads.Load())
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Answer(gone, op, noon); err == nil || s.reads.Load() != 3 {
		t.Errorf("%v after %d reads; want an error, and no further read for a caller that left", err, s.reads.Load())
	}
}
