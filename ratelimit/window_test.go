package ratelimit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestWindow follows a key through time: each row requests a unit at an instant.
func TestWindow(t *testing.T) {
	const ms = time.Millisecond
	q := Quota{Rate: 3, Period: 100 * ms, Algorithm: AlgorithmWindow}.normal()
	rows := []struct {
		at                                time.Duration
		allowed                           bool
		remaining                         int
		retryAfter, moreAfter, resetAfter time.Duration
	}{
		{0, true, 2, 0, 100 * ms, 100 * ms},
		{10 * ms, true, 1, 0, 90 * ms, 100 * ms},
		{50 * ms, true, 0, 50 * ms, 50 * ms, 100 * ms},
		{50 * ms, false, 0, 50 * ms, 50 * ms, 100 * ms},
		{100*ms - 1, false, 0, 1, 1, 50*ms + 1},
		{100 * ms, true, 0, 10 * ms, 10 * ms, 100 * ms}, // the first unit is one Period old: the interval is half-open
		{100 * ms, false, 0, 10 * ms, 10 * ms, 100 * ms},
		{110 * ms, true, 0, 40 * ms, 40 * ms, 100 * ms},
		{149 * ms, false, 0, 1 * ms, 1 * ms, 61 * ms},
		{209 * ms, true, 1, 0, 1 * ms, 100 * ms}, // two units left the window
		{210 * ms, true, 1, 0, 99 * ms, 100 * ms},
		{time.Hour, true, 2, 0, 100 * ms, 100 * ms},
	}
	var w window
	for i, row := range rows {
		got := w.take(int64(row.at), q)
		want := Result{Allowed: row.allowed, Limit: 3, Remaining: row.remaining, RetryAfter: row.retryAfter, MoreAfter: row.moreAfter, ResetAfter: row.resetAfter}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("row %d (-want +got):\n%s", i, diff)
		}
	}
}

// anyWindow draws a normal, limited quota with a window.
func anyWindow() *rapid.Generator[Quota] {
	return rapid.Custom(func(t *rapid.T) Quota {
		return Quota{
			Rate:      rapid.IntRange(1, 40).Draw(t, "rate"),
			Period:    time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "period")),
			Algorithm: AlgorithmWindow,
		}.normal()
	})
}

// anyStep draws the time to the next unit: about a Period, or a part of one.
func anyStep(q Quota) *rapid.Generator[int64] {
	period := int64(q.Period)
	return rapid.OneOf(
		rapid.Just(int64(0)),
		rapid.Int64Range(0, 2*period/int64(q.Rate)+1),
		rapid.SampledFrom([]int64{period - 1, period, period + 1}),
	)
}

// TestWindowAgreesWithANaiveLog compares with a model that keeps every unit that was
// ever admitted and counts those in the Period that ends now.
func TestWindowAgreesWithANaiveLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := anyWindow().Draw(t, "quota")
		period := int64(q.Period)
		var w window
		var now int64
		var model []int64
		within := func(at int64) (n int) {
			for _, taken := range model {
				if at-taken < period {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 200).Draw(t, "units") {
			now += anyStep(q).Draw(t, "gap")
			allowed := within(now) < q.Rate
			if allowed {
				model = append(model, now)
			}
			want := Result{Allowed: allowed, Limit: q.Rate, Remaining: q.Rate - within(now)}
			// The first instant at which one more unit would be allowed, and the one at
			// which all units have left the window.
			want.ResetAfter = time.Duration(model[len(model)-1] + period - now)
			want.MoreAfter = time.Duration(model[len(model)-max(within(now), 1)] + period - now)
			if want.Remaining == 0 {
				want.RetryAfter = time.Duration(model[len(model)-q.Rate] + period - now)
			}
			if diff := cmp.Diff(want, w.take(now, q)); diff != "" {
				t.Fatalf("at %v, %+v (-want +got):\n%s", time.Duration(now), q, diff)
			}
			if len(w.ring) > q.Rate {
				t.Fatalf("the ring holds %d, more than the rate of %d", len(w.ring), q.Rate)
			}
		}
		for i := q.Rate; i < len(model); i++ {
			if model[i]-model[i-q.Rate] < period {
				t.Fatalf("%d units within %v of %+v", q.Rate+1, time.Duration(model[i]-model[i-q.Rate]), q)
			}
		}
	})
}

func TestSharesOfAWindowNeverExceedIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := anyWindow().Draw(t, "quota")
		n := rapid.IntRange(1, 100).Draw(t, "replicas")
		share := q.share(n)
		if n <= q.Rate {
			if share.Period != q.Period || share.Rate < 1 || share.Rate*n > q.Rate {
				t.Fatalf("share of %d of %+v: %+v, want no more than the rate in the period", n, q, share)
			}
			return
		}
		// One unit in each Period from each of n replicas is no more than the rate in
		// the long run.
		if share.Rate != 1 || int64(share.Period)*int64(q.Rate) < int64(q.Period)*int64(n) {
			t.Fatalf("share of %d of %+v: %+v, want 1 in %d/%d of the period", n, q, share, n, q.Rate)
		}
		if int64(share.Period-1)*int64(q.Rate) >= int64(q.Period)*int64(n) {
			t.Fatalf("share of %d of %+v: %+v, longer than need be", n, q, share)
		}
	})
}

// TestSpacingIsALowerBound checks that the nth unit after one that had to be waited for
// comes no earlier than the spacing, whichever callers take the units between.
func TestSpacingIsALowerBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := rapid.OneOf(anyWindow(), anyQuota()).Draw(t, "quota").normal()
		limiter, now := anyHistory(t, q)
		r := limiter(now)
		for r.Allowed {
			r = limiter(now)
		}
		var first int64
		for n := range 3*q.Rate + 1 {
			for !r.Allowed { // as soon as a unit is available
				now += int64(r.RetryAfter)
				r = limiter(now)
			}
			if n == 0 {
				first = now
			}
			if got, bound := time.Duration(now-first), q.spacing(n); got < bound {
				t.Fatalf("%+v: unit %d came %v after the first, though the bound says %v", q, n, got, bound)
			}
			r = limiter(now)
		}
	})
}

// anyHistory returns a limiter of one key that has a history, as a function of the
// instant, and the instant at which that history ends.
func anyHistory(t *rapid.T, q Quota) (limiter func(now int64) Result, now int64) {
	var w window
	var tat int64
	limiter = func(now int64) (r Result) {
		if q.Algorithm == AlgorithmWindow {
			return w.take(now, q)
		}
		tat, r = step(tat, now, q)
		return r
	}
	for range rapid.IntRange(0, 50).Draw(t, "units before") {
		now += anyStep(q).Draw(t, "gap")
		limiter(now)
	}
	return limiter, now
}
