package ratelimit

import (
	"context"
	"time"
)

// takeOfWindow runs lua/window.lua. It counts in microseconds, so that a period is
// rounded up, and Redis tells the time in whole ones, so that who waits for as many as
// it says never comes too early.
func (l *Redis) takeOfWindow(ctx context.Context, name string, q Quota) (Result, error) {
	cmd := l.window.Run(ctx, l.conn.Scripter(), []string{name}, q.Rate, int64(divideUp(q.Period, int(time.Microsecond))))
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
