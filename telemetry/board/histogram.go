package board

import (
	"math"
	"math/bits"
	"time"
)

// The buckets grow with the duration: below 8 µs each has 1 µs, above that there are
// eight for each doubling, up to 2^27 µs (134 s). A quantile read from them is at most
// one eighth too high, and 6 % off on average.
const (
	subBits  = 3
	sub      = 1 << subBits
	topBit   = 27
	nBuckets = sub + (topBit-subBits)*sub
)

// histogram counts durations. The zero histogram is empty.
type histogram [nBuckets]uint32

func (h *histogram) add(d time.Duration) { h[bucketOf(d)]++ }

// merge adds all of other's counts.
func (h *histogram) merge(other *histogram) {
	for i, n := range other {
		h[i] += n
	}
}

// count returns how many durations were added.
func (h *histogram) count() int64 {
	var sum int64
	for _, n := range h {
		sum += int64(n)
	}
	return sum
}

// quantile returns a duration that is not exceeded by the share q of all durations: the
// upper bound of the bucket that contains the quantile. It is 0 if there are no
// durations.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.count()))) // the rank-th smallest, counted from 1
	var below int64
	for i, n := range h {
		if below += int64(n); n > 0 && below >= rank {
			return upperBound(i)
		}
	}
	return 0
}

// bucketOf returns the index of d's bucket. Negative durations count to the first
// bucket, too long ones to the last.
func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < sub {
		return int(us)
	}
	exponent := bits.Len64(us) - 1 // at least subBits
	if exponent >= topBit {
		return nBuckets - 1
	}
	mantissa := int(us>>(exponent-subBits)) & (sub - 1)
	return sub + (exponent-subBits)*sub + mantissa
}

// upperBound returns the exclusive upper bound of bucket i.
func upperBound(i int) time.Duration {
	if i < sub {
		return time.Duration(i+1) * time.Microsecond
	}
	exponent, mantissa := (i-sub)/sub+subBits, (i-sub)%sub
	return time.Duration(sub+mantissa+1) << (exponent - subBits) * time.Microsecond
}
