package ratelimit

import (
	"context"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

// canned is a client of redis_rate that answers every script with the same values.
type canned struct {
	redisconn.Scripter

	values []any
}

func (c canned) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	return redis.NewCmdResult(c.values, nil)
}

func TestAnswersAreReadAsRedisRateReadsThem(t *testing.T) {
	for _, retry := range []string{"-1", "0", "0.098765432", "1e-05", "9.9999904632568e-05", "3600"} {
		for _, reset := range []string{"-1", "0.10000002384186", "5.9604644775391e-08", "86400.5"} {
			values := []any{int64(1), int64(8), retry, reset}
			want, err := redis_rate.NewLimiter(canned{values: values}).Allow(t.Context(), "k", redis_rate.Limit{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := answerOf(redisconn.RepliesOf(values))
			if diff := cmp.Diff(*want, got); err != nil || diff != "" {
				t.Errorf("%q, %q: %v (-want +got):\n%s", retry, reset, err, diff)
			}
		}
	}
	for _, odd := range [][]any{{}, {int64(1), int64(2), "3"}, {"1", "2", "3", "4"}, {int64(1), int64(2), "x", "4"}} {
		if got, err := answerOf(redisconn.RepliesOf(odd)); err == nil {
			t.Errorf("%v: got %+v, want an error", odd, got)
		}
	}
}

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
