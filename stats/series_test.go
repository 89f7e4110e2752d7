package stats

import (
	"math"
	"sync/atomic"
	"testing"
)

// TestSeriesOfOneHashAreApart gives three series the same hash: each is counted and
// forgotten separately.
func TestSeriesOfOneHashAreApart(t *testing.T) {
	t.Parallel()
	const hash, limit = 7, 10
	var held atomic.Int64
	s := shard{cells: make(map[uint64]*cell)}
	one := Counts{Client: 1}
	all := []series{{hour: 1}, {hour: 2}, {scope: Scope{Region: "r"}, hour: 3}}
	for i := range all {
		for range i + 1 {
			s.add(&all[i], hash, &one, &held, limit)
		}
	}
	for _, got := range s.drain(nil, limit) {
		if want := uint64(got.series.hour); got.counts[Client] != want {
			t.Errorf("hour %d: %d, want as many", got.series.hour, got.counts[Client])
		}
	}
	s.add(&all[1], hash, &one, &held, limit)
	s.forget(math.MaxInt64, &held)
	if n := held.Load(); n != 1 {
		t.Errorf("%d series are held, want the one that has counts", n)
	}
	s.add(&all[0], hash, &one, &held, limit)
	s.add(&all[1], hash, &one, &held, limit)
	tallies := s.drain(nil, limit)
	if len(tallies) != 2 || tallies[0].series != all[1] || tallies[0].counts != (Counts{Client: 2}) || tallies[1].series != all[0] {
		t.Errorf("drained %+v, want 2 of hour 2 and 1 of hour 1", tallies)
	}
	s.forget(2, &held)
	if n := held.Load(); n != 1 {
		t.Errorf("%d series are held, want the one of hour 2", n)
	}
}
