package gateway

import (
	"context"
	"time"
)

// echo is how long after the first signal another is taken for the same one: timeout(1) of coreutils and some supervisors signal a process and its group.
const echo = 500 * time.Millisecond

// EndAtOnceOnASecond gives signals back to the system, which ends the process, once the one that ended ctx can have no echo any more. Stop is that of
// [os/signal.NotifyContext].
func EndAtOnceOnASecond(ctx context.Context, stop func()) {
	context.AfterFunc(ctx, func() { time.AfterFunc(echo, stop) })
}
