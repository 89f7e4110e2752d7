package gateway

import (
	"context"
	"time"
)

// echo is how long after the first signal another one counts as the same: timeout(1) of
// coreutils and some supervisors signal both a process and its group.
const echo = 500 * time.Millisecond

// EndAtOnceOnASecond restores the default handling of signals, which ends the process,
// once the signal that ended ctx can have no echo any more. Stop is the function that
// [os/signal.NotifyContext] returned.
func EndAtOnceOnASecond(ctx context.Context, stop func()) {
	context.AfterFunc(ctx, func() { time.AfterFunc(echo, stop) })
}
