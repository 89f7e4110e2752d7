package board

import (
	"testing"
	"time"
)

// Every duration up to the longest is in its bucket, and the width of a bucket is at
// most one eighth.
func FuzzDurationsLieInTheirBuckets(f *testing.F) {
	for _, us := range []int64{0, 1, 7, 8, 9, 15, 16, 17, 1000, 40_000, 1 << 26, 1<<27 - 1} {
		f.Add(us)
	}
	f.Fuzz(func(t *testing.T, us int64) {
		d := time.Duration(us%(1<<topBit)) * time.Microsecond
		i := bucketOf(d)
		var lower time.Duration
		if i > 0 {
			lower = upperBound(i - 1)
		}
		if d = max(d, 0); d < lower || d >= upperBound(i) {
			t.Errorf("%s is in bucket %d, from %s to %s", d, i, lower, upperBound(i))
		}
		if width := upperBound(i) - lower; lower > sub*time.Microsecond && width > lower/8 {
			t.Errorf("bucket %d is %s wide at %s", i, width, lower)
		}
	})
}

func TestLongDurationsGoIntoTheLastBucket(t *testing.T) {
	var h histogram
	h.add(time.Hour)
	h.add(1 << 62)
	if h[nBuckets-1] != 2 || h.quantile(1) != upperBound(nBuckets-1) {
		t.Errorf("an hour is counted in bucket %d, want the last, %d", bucketOf(time.Hour), nBuckets-1)
	}
}

func TestQuantileOfFew(t *testing.T) {
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("the median of no durations is %s, want 0", got)
	}
	h.add(3 * time.Microsecond)
	for _, q := range []float64{0.5, 0.95, 0.99} {
		if got := h.quantile(q); got != 4*time.Microsecond {
			t.Errorf("quantile %v of one duration of 3 µs is %s, want its bucket's end, 4 µs", q, got)
		}
	}
}
