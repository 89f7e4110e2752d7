package redisconn

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Rider adds commands to the round trips that other code makes with the same context,
// so that a request waits for Redis once, not once for each of the two. The other code
// is the rider's carrier. Carrier and rider do not know each other: [Conn.WithRider]
// puts the rider into the context, and every [Conn.Do] with that context includes the
// rider, also in a second attempt and after a wait for a turn. The last outcome counts.
//
// Both methods are called in the goroutine of the carrier's Do, so that a context with
// a rider is for one goroutine at a time. A rider changes nothing for its carrier: a
// failure of the rider's commands alone, or its panic, is reported only to the rider.
// Only the time is shared: if the rider's commands are not answered within
// Options.Timeout, which in a cluster may be the fault of another node, the carrier's
// commands count as not answered too.
type Rider interface {
	// Queue adds the rider's commands to a pipeline that already contains the carrier's
	// commands. It may add none. It must not change the pipeline in another way.
	Queue(ctx context.Context, p redis.Pipeliner)

	// Done receives the outcome before Do returns: nil if Redis has answered every
	// command that Queue added, otherwise an error like Do's. Then the rider must not
	// read the commands, not even later. If Redis is down or ctx had ended, so that
	// nothing was sent, Done is called without Queue. If the carrier had no commands,
	// neither is called.
	Done(err error)
}

// riderKey is the context key of a Conn's rider. The round trips of another Conn do not
// include it.
type riderKey struct{ conn *Conn }

var (
	// errPanicked is the error for a rider whose Queue panicked.
	errPanicked = errors.New("the rider panicked")
	// errNotCarried is the error for a rider whose commands a group cannot carry.
	errNotCarried = errors.New("the rider's commands are of an unknown type")
)

// WithRider returns a context whose round trips to c include r. A context has one rider
// for each Conn: the one that was added last.
func (c *Conn) WithRider(ctx context.Context, r Rider) context.Context {
	return context.WithValue(ctx, riderKey{c}, r)
}

// riderOf returns ctx's rider for c, or nil.
func (c *Conn) riderOf(ctx context.Context) Rider {
	r, _ := ctx.Value(riderKey{c}).(Rider)
	return r
}

// queueRider lets r add its commands to p. If r panics, its commands are removed from
// p.
func queueRider(ctx context.Context, r Rider, p redis.Pipeliner) (err error) {
	before := p.Len()
	defer func() {
		if thrown := recover(); thrown != nil {
			cmds := p.Cmds()
			p.Discard()
			_ = p.BatchProcess(ctx, cmds[:before]...) // only queues; it cannot fail
			err = fmt.Errorf("%w: %v", errPanicked, thrown)
		}
	}()
	r.Queue(ctx, p)
	return nil
}

// finishRider reports the outcome to r. A panic of r is ignored.
func finishRider(r Rider, err error) {
	defer func() { _ = recover() }()
	r.Done(err)
}
