package redisconn

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// once is a command that the client of a cluster does not repeat by itself. That client
// follows a slot that has moved (MOVED, ASK). But where the first command that it sends to
// a node fails, it sends that node's whole part of the pipeline again, and for TRYAGAIN
// while it still follows ASK for others of these commands: they are run more than once, and
// two goroutines write one command (go-redis v9.23.0, pipelineReadCmds). A repeat does not
// fit into the timeout either.
type once struct{ redis.Cmder }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// sendOnce replaces the commands of p by such as are not repeated.
func sendOnce(ctx context.Context, p redis.Pipeliner) {
	cmds := p.Cmds()
	wrapped := make([]redis.Cmder, len(cmds))
	for i, cmd := range cmds {
		wrapped[i] = once{cmd}
	}
	p.Discard()
	_ = p.BatchProcess(ctx, wrapped...) // queues; it has no way to fail
}
