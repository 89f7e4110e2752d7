package redisconn

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Rider is a question that travels in the round trips that others make with the same
// context, so that a request waits for Redis once and not once for each of the two.
// Carrier and rider need not know of each other: [Conn.WithRider] puts the rider into
// the context, and every [Conn.Do] with it takes the rider along, a second attempt
// and a turn awaited included. The last outcome is the one that counts.
//
// Both methods are called in the goroutine of the carrier's Do, so that a context with
// a rider is for one goroutine at a time. A rider changes nothing for its carrier: an
// outage of its commands alone, or a panic, is told to it and to nobody else. Only time
// is shared: where its commands are not answered within Options.Timeout, which in a
// cluster may be another node's fault, the carrier's count as not answered either.
type Rider interface {
	// Queue adds the rider's commands to a pipeline in which the carrier's are
	// already. It may add none. It must do nothing else to the pipeline.
	Queue(ctx context.Context, p redis.Pipeliner)

	// Done tells how it ended, before Do returns: nil if Redis has answered every
	// command that Queue added, else an error as Do's. Then the commands must not be
	// looked at, not even later. Where Redis was not asked because it is down, or ctx
	// had ended, Done comes without Queue; where the carrier had nothing to send,
	// neither comes.
	Done(err error)
}

// riderKey is the key of a Conn's rider in a context: another Conn's round trips do not
// see it.
type riderKey struct{ conn *Conn }

// errThrown is what a rider is told whose Queue panicked.
var errThrown = errors.New("the rider panicked")

// WithRider returns a context whose round trips to c take r along. A context carries one
// rider for each Conn: the one that was put in last.
func (c *Conn) WithRider(ctx context.Context, r Rider) context.Context {
	return context.WithValue(ctx, riderKey{c}, r)
}

// passenger returns ctx's rider for c, or nil.
func (c *Conn) passenger(ctx context.Context) Rider {
	r, _ := ctx.Value(riderKey{c}).(Rider)
	return r
}

// board lets r add its commands to p. One that panics is left behind with all that it
// added.
func board(ctx context.Context, r Rider, p redis.Pipeliner) (err error) {
	before := p.Len()
	defer func() {
		if thrown := recover(); thrown != nil {
			cmds := p.Cmds()
			p.Discard()
			_ = p.BatchProcess(ctx, cmds[:before]...) // queues; it has no way to fail
			err = fmt.Errorf("%w: %v", errThrown, thrown)
		}
	}()
	r.Queue(ctx, p)
	return nil
}

// alight tells r how it ended. Its panic is nobody's business.
func alight(r Rider, err error) {
	defer func() { _ = recover() }()
	r.Done(err)
}
