package redisconn

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// once is a command that the cluster client does not repeat. That client follows a slot
// that has moved (MOVED, ASK). But if the first command that it sends to a node fails,
// it sends that node's whole part of the pipeline again, and after TRYAGAIN it does so
// while it still follows ASK for others of these commands: they run more than once, and
// two goroutines write to one command (go-redis v9.23.0, pipelineReadCmds). A
// repetition does not fit into the timeout either.
type once struct{ redis.Cmder }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// sendOnce replaces the commands of p by commands that the client does not repeat.
func sendOnce(ctx context.Context, p redis.Pipeliner) {
	cmds := p.Cmds()
	wrapped := make([]redis.Cmder, len(cmds))
	for i, cmd := range cmds {
		wrapped[i] = once{cmd}
	}
	p.Discard()
	_ = p.BatchProcess(ctx, wrapped...) // only queues; it cannot fail
}
