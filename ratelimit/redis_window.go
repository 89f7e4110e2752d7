package ratelimit

import (
	"context"
	"time"

	"osgate/internal/redisconn"
)

// takeWindow runs lua/window.lua. The script counts in microseconds, so a period is
// rounded up. Redis's clock has whole microseconds, so a caller that waits for the
// returned time is never too early.
func (l *Redis) takeWindow(ctx context.Context, name string, q Quota) (result Result, err error) {
	answer := func(replies *redisconn.Replies) error {
		if replies.Array() != 5 {
			return errOddAnswer
		}
		microseconds := func() time.Duration { return time.Duration(replies.Int()) * time.Microsecond }
		result = Result{
			Allowed: replies.Int() == 1, Limit: q.Rate, Remaining: replies.Int(),
			RetryAfter: microseconds(), MoreAfter: microseconds(), ResetAfter: microseconds(),
		}
		return replies.Err()
	}
	err = l.conn.Eval(ctx, l.window, name, answer,
		redisconn.Int(int64(q.Rate)), redisconn.Int(int64(divideUp(q.Period, int(time.Microsecond)))))
	return result, err
}
