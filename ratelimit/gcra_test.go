package ratelimit

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestStep follows keys through time: each row requests a unit at an instant.
func TestStep(t *testing.T) {
	const ms = time.Millisecond
	type row struct {
		at                                time.Duration
		allowed                           bool
		remaining                         int
		retryAfter, moreAfter, resetAfter time.Duration
	}
	tests := map[string]struct {
		quota Quota
		rows  []row
	}{
		"the burst at once, then one each interval": {Quota{Rate: 10, Period: time.Second, Burst: 3}, []row{
			{0, true, 2, 0, 100 * ms, 100 * ms},
			{0, true, 1, 0, 100 * ms, 200 * ms},
			{0, true, 0, 100 * ms, 100 * ms, 300 * ms},
			{0, false, 0, 100 * ms, 100 * ms, 300 * ms},
			{99 * ms, false, 0, 1 * ms, 1 * ms, 201 * ms},
			{100 * ms, true, 0, 100 * ms, 100 * ms, 300 * ms},
			{250 * ms, true, 0, 50 * ms, 50 * ms, 250 * ms},
			{300 * ms, true, 0, 100 * ms, 100 * ms, 300 * ms},
		}},
		"a rest gives back what was spent, and no more": {Quota{Rate: 10, Period: time.Second, Burst: 3}, []row{
			{0, true, 2, 0, 100 * ms, 100 * ms},
			{0, true, 1, 0, 100 * ms, 200 * ms},
			{150 * ms, true, 1, 0, 50 * ms, 150 * ms},
			{time.Hour, true, 2, 0, 100 * ms, 100 * ms},
		}},
		"a burst of one spaces evenly": {Quota{Rate: 10, Period: time.Second, Burst: 1}, []row{
			{0, true, 0, 100 * ms, 100 * ms, 100 * ms},
			{50 * ms, false, 0, 50 * ms, 50 * ms, 50 * ms},
			{120 * ms, true, 0, 100 * ms, 100 * ms, 100 * ms},
			{219 * ms, false, 0, 1 * ms, 1 * ms, 1 * ms},
		}},
		"an interval that is no whole number is rounded up": {Quota{Rate: 3, Period: time.Second, Burst: 1}, []row{
			{0, true, 0, 333_333_334, 333_333_334, 333_333_334},
			{333_333_333, false, 0, 1, 1, 1},
			{333_333_334, true, 0, 333_333_334, 333_333_334, 333_333_334},
		}},
		"quotas beyond all time do not overflow": {Quota{Rate: 1, Period: math.MaxInt64, Burst: math.MaxInt}, []row{
			{0, true, 1, 0, horizon, horizon},
			{0, true, 0, horizon, horizon, 2 * horizon},
			{0, false, 0, horizon, horizon, 2 * horizon},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var tat int64
			for i, row := range tt.rows {
				var got Result
				tat, got = step(tat, int64(row.at), tt.quota)
				want := Result{
					Allowed: row.allowed, Limit: tt.quota.Rate, Remaining: row.remaining,
					RetryAfter: row.retryAfter, MoreAfter: row.moreAfter, ResetAfter: row.resetAfter,
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("row %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// anyQuota draws a normal, limited quota.
func anyQuota() *rapid.Generator[Quota] {
	return rapid.Custom(func(t *rapid.T) Quota {
		return Quota{
			Rate:   rapid.IntRange(1, 1000).Draw(t, "rate"),
			Period: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "period")),
			Burst:  rapid.IntRange(1, 30).Draw(t, "burst"),
		}
	})
}

// anyGap draws the time to the next unit, mostly of the order of an interval.
func anyGap(q Quota) *rapid.Generator[time.Duration] {
	interval := int64(q.interval())
	return rapid.Map(rapid.OneOf(
		rapid.Just(int64(0)),
		rapid.Int64Range(0, interval),
		rapid.SampledFrom([]int64{interval - 1, interval, interval + 1}),
		rapid.Int64Range(0, 40*interval),
	), func(n int64) time.Duration { return time.Duration(n) })
}

// bucket is the model: a bucket that leaks at a constant rate. Each unit adds an
// interval to it, unless it would overflow. (This is the continuous-state leaky bucket,
// the other formulation of the algorithm in ITU-T I.371.)
type bucket struct {
	level, capacity, unit time.Duration
}

func (b *bucket) take(elapsed time.Duration) bool {
	b.level = max(0, b.level-elapsed)
	if b.level+b.unit > b.capacity {
		return false
	}
	b.level += b.unit
	return true
}

func (b *bucket) room() int { return int((b.capacity - b.level) / b.unit) }

func TestStepAgreesWithALeakyBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := anyQuota().Draw(t, "quota")
		model := bucket{capacity: q.interval() * time.Duration(q.Burst), unit: q.interval()}
		var tat, now int64
		for range rapid.IntRange(1, 100).Draw(t, "units") {
			gap := anyGap(q).Draw(t, "gap")
			now += int64(gap)
			var got Result
			tat, got = step(tat, now, q)
			if allowed := model.take(gap); got.Allowed != allowed {
				t.Fatalf("at %v: allowed %v, want %v", time.Duration(now), got.Allowed, allowed)
			}
			if got.Remaining != model.room() || got.ResetAfter != model.level {
				t.Fatalf("at %v: remaining %d, reset after %v; want %d, %v",
					time.Duration(now), got.Remaining, got.ResetAfter, model.room(), model.level)
			}
			more := model.level - model.capacity + time.Duration(model.room()+1)*model.unit
			if got.MoreAfter != more {
				t.Fatalf("at %v: remaining %d, more after %v, want %v", time.Duration(now), got.Remaining, got.MoreAfter, more)
			}
			if (got.Remaining == 0) != (got.RetryAfter > 0) {
				t.Fatalf("at %v: remaining %d, but retry after %v", time.Duration(now), got.Remaining, got.RetryAfter)
			}
		}
	})
}

func TestNeverMoreThanBurstAndRateInAnyTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := anyQuota().Draw(t, "quota")
		var tat, now int64
		var admitted []int64
		for range rapid.IntRange(1, 200).Draw(t, "units") {
			now += int64(anyGap(q).Draw(t, "gap"))
			var r Result
			if tat, r = step(tat, now, q); r.Allowed {
				admitted = append(admitted, now)
			}
		}
		for i, from := range admitted {
			for j, to := range admitted[i:] {
				// units <= burst + rate·time/period, without a division.
				if over := int64(j + 1 - q.Burst); over > 0 && over*int64(q.Period) > (to-from)*int64(q.Rate) {
					t.Fatalf("%d units within %v of %+v", j+1, time.Duration(to-from), q)
				}
			}
		}
	})
}

func TestRetryAfterIsTheFirstInstantThatIsAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := anyQuota().Draw(t, "quota")
		var tat, now int64
		var r Result
		for range rapid.IntRange(0, 50).Draw(t, "units before") {
			now += int64(anyGap(q).Draw(t, "gap"))
			tat, _ = step(tat, now, q)
		}
		for r.Allowed = true; r.Allowed; {
			tat, r = step(tat, now, q)
		}
		if _, early := step(tat, now+int64(r.RetryAfter)-1, q); early.Allowed {
			t.Fatalf("allowed 1 ns before RetryAfter, %v", r.RetryAfter)
		}
		if _, inTime := step(tat, now+int64(r.RetryAfter), q); !inTime.Allowed {
			t.Fatalf("refused after RetryAfter, %v: %+v", r.RetryAfter, inTime)
		}
	})
}

func TestSharesAddUpToNoMoreThanTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := anyQuota().Draw(t, "quota")
		n := rapid.IntRange(1, 100).Draw(t, "replicas")
		share := q.share(n)
		// n shares of rate/(n·period) are the rate exactly.
		if share.Rate != q.Rate || share.Period != q.Period*time.Duration(n) {
			t.Fatalf("share of %d of %+v: %+v", n, q, share)
		}
		if share.Burst < 1 || share.Burst > 1 && share.Burst*n > q.Burst {
			t.Fatalf("share of %d of burst %d: %d", n, q.Burst, share.Burst)
		}
	})
	if got := (Quota{Rate: 10, Period: math.MaxInt64, Burst: 1}).share(2).Period; got != math.MaxInt64 {
		t.Errorf("period of a share overflows to %d", got)
	}
}
