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
