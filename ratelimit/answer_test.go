package ratelimit

import (
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/google/go-cmp/cmp"
)

// TestAnswersOfTheScriptAreCorrected uses answers that Redis 7.0 returned.
func TestAnswersOfTheScriptAreCorrected(t *testing.T) {
	ten := Quota{Rate: 10, Period: time.Second, Burst: 10}
	third := Quota{Rate: 3, Period: time.Second, Burst: 2}
	tests := map[string]struct {
		quota  Quota
		answer redis_rate.Result
		want   Result
	}{
		"the first of ten leaves nine, not eight": {
			ten, redis_rate.Result{Allowed: 1, Remaining: 8, RetryAfter: -1, ResetAfter: 100000023},
			Result{Allowed: true, Limit: 10, Remaining: 9, MoreAfter: 100002 * time.Microsecond, ResetAfter: 100000023},
		},
		"part of a unit does not count": {
			ten, redis_rate.Result{Allowed: 1, Remaining: 7, RetryAfter: -1, ResetAfter: 201 * time.Millisecond},
			Result{Allowed: true, Limit: 10, Remaining: 7, MoreAfter: 1002 * time.Microsecond, ResetAfter: 201 * time.Millisecond},
		},
		"after the last, the next comes when one has leaked": {
			ten, redis_rate.Result{Allowed: 1, Remaining: 0, RetryAfter: -1, ResetAfter: 999500023},
			Result{Allowed: true, Limit: 10, RetryAfter: 99502 * time.Microsecond, MoreAfter: 99502 * time.Microsecond, ResetAfter: 999500023},
		},
		"after the last of a rate that does not divide": {
			third, redis_rate.Result{Allowed: 1, Remaining: 0, RetryAfter: -1, ResetAfter: 666666627},
			Result{Allowed: true, Limit: 3, RetryAfter: 333335 * time.Microsecond, MoreAfter: 333335 * time.Microsecond, ResetAfter: 666666627},
		},
		"a wait is rounded up, so that its end is not too early": {
			ten, redis_rate.Result{RetryAfter: 98765432, ResetAfter: 998765432},
			Result{Limit: 10, RetryAfter: 98767 * time.Microsecond, MoreAfter: 98767 * time.Microsecond, ResetAfter: 998765432},
		},
		"a refusal always has a wait": {
			ten, redis_rate.Result{RetryAfter: 0, ResetAfter: 900 * time.Millisecond},
			Result{Limit: 10, RetryAfter: 2 * time.Microsecond, MoreAfter: 2 * time.Microsecond, ResetAfter: 900 * time.Millisecond},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, resultOf(&tt.answer, tt.quota)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
