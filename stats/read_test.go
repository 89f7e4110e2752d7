package stats

import (
	"context"
	"strconv"
	"testing"
	"time"
)

// widest is a store that remembers the largest number of counts in one read.
type widest struct {
	Store
	numbers, reads int
}

func (s *widest) Counts(ctx context.Context, q CountsQuery) ([][]Counts, error) {
	s.numbers, s.reads = max(s.numbers, len(q.Scopes)*len(q.Starts)*len(q.Measures)), s.reads+1
	return s.Store.Counts(ctx, q)
}

func TestAReadIsAsLargeAsItsBound(t *testing.T) {
	t.Parallel()
	hour := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ scopes, starts, reads, numbers int }{
		{maxScopes + 1, 1, 2, 2 * maxScopes},
		{300, 100, 3, maxNumbers},
		{2, maxNumbers, 2, 2 * maxNumbers}, // one scope is not split
	} {
		store := &widest{Store: NewMemory(MemoryOptions{})}
		q := CountsQuery{Period: Hour, Measures: []Measure{Client, Upstream}}
		for i := range tt.scopes {
			q.Scopes = append(q.Scopes, Scope{Plane: "us", Organization: strconv.Itoa(i)})
		}
		for i := range tt.starts {
			q.Starts = append(q.Starts, hour.Add(time.Duration(i)*time.Hour))
		}
		rows := 0
		if err := New(Options{Store: store}).read(t.Context(), q, func(Scope, []Counts) { rows++ }); err != nil {
			t.Fatal(err)
		}
		if rows != tt.scopes || store.reads != tt.reads || store.numbers != tt.numbers {
			t.Errorf("%d scopes and %d buckets: %d rows, %d reads of up to %d numbers; want %d reads of up to %d",
				tt.scopes, tt.starts, rows, store.reads, store.numbers, tt.reads, tt.numbers)
		}
	}
}
