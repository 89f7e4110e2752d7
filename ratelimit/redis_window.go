package ratelimit

import (
	"context"
	"time"
)

// takeWindow runs lua/window.lua. The script counts in microseconds, so a period is
// rounded up. Redis's clock has whole microseconds, so a caller that waits for the
// returned time is never too early.
func (l *Redis) takeWindow(ctx context.Context, name string, q Quota) (Result, error) {
	cmd := l.window.Run(ctx, l.conn.Scripter(), []string{name},
		q.Rate, int64(divideUp(q.Period, int(time.Microsecond))))
	if err := cmd.Err(); err != nil {
		return Result{}, err
	}
	answer, err := cmd.Int64Slice()
	if err != nil || len(answer) != 5 {
		return Result{}, errOddAnswer
	}
	return Result{
		Allowed:    answer[0] == 1,
		Limit:      q.Rate,
		Remaining:  int(answer[1]),
		RetryAfter: time.Duration(answer[2]) * time.Microsecond,
		MoreAfter:  time.Duration(answer[3]) * time.Microsecond,
		ResetAfter: time.Duration(answer[4]) * time.Microsecond,
	}, nil
}
