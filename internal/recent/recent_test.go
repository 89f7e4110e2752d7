package recent_test

import (
	"testing"

	"osgate/internal/recent"
)

func TestMapHoldsWhatWasUsedLast(t *testing.T) {
	r := recent.New[int, int](10)
	for i := range 100 {
		r.Put(i, i)
		if r.Len() > 20 {
			t.Fatalf("%d entries of at most 20", r.Len())
		}
		if v, ok := r.Get(0); !ok || v != 0 {
			t.Fatalf("a value in use was dropped after %d others", i)
		}
	}
	for i := 91; i < 100; i++ {
		if v, ok := r.Get(i); !ok || v != i {
			t.Errorf("%d is forgotten", i)
		}
	}
}

func TestAgeDropsWhatWasNotUsedSinceTheLastTime(t *testing.T) {
	r := recent.New[int, int](10)
	r.Put(1, 1)
	r.Put(2, 2)
	r.Age()
	if _, ok := r.Get(1); !ok {
		t.Error("a value was dropped that was used since the last time")
	}
	r.Age()
	if _, ok := r.Get(2); ok {
		t.Error("a value was kept that was not used since the last time")
	}
	if v, ok := r.Get(1); !ok || v != 1 {
		t.Error("a value was dropped that was used since the last time")
	}
}
