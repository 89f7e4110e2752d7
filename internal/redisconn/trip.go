package redisconn

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// workerIdle is how long a worker waits for its next round trip before it ends.
const workerIdle = time.Second

// trip is one round trip to Redis. It runs in a worker's goroutine, so that
// whatever the client library does holds up the worker and not the caller. It goes
// on when the caller leaves early, so that its outcome counts all the same.
//
// Workers are kept for a while because a new goroutine's stack has to grow to the
// depth of go-redis: measured with 16 and 128 concurrent GETs on a busy machine, a
// goroutine for each trip adds about 8 µs to the 20 µs of a GET, a kept one about 2.
type trip struct {
	ctx      context.Context //nolint:containedctx // handed to a worker; ends when the trip's time is over, whoever left
	cancel   context.CancelFunc
	pipeline redis.Pipeliner
	own      int // how many of the commands are the caller's; those after them are a rider's
	settle   func(outage error)
	settled  atomic.Bool
	done     chan outcome // receives the outages; never blocks
}

// outcome is how a round trip ended for the caller's own commands and for a rider's.
// Nil is well: all of them were answered.
type outcome struct{ own, rider error }

// both is an outcome that is the same for caller and rider.
func both(err error) outcome { return outcome{err, err} }

// run sends the pipeline. A rider's trouble is not the breaker's: in a cluster it may be
// that of another node.
func (t *trip) run() {
	outages := exec(t.ctx, t.pipeline, t.own)
	t.report(outages.own)
	t.done <- outages
	t.cancel()
}

// report passes the first outcome that it is given on to settle.
func (t *trip) report(outage error) {
	if t.settled.CompareAndSwap(false, true) {
		t.settle(outage)
	}
}

// exec sends the pipeline and returns the first outage among the outcomes of the first
// own commands, and of the others.
func exec(ctx context.Context, p redis.Pipeliner, own int) outcome {
	cmds, err := p.Exec(ctx)
	outages := outcome{own: firstOutage(cmds[:own]), rider: firstOutage(cmds[own:])}
	if outages == (outcome{}) && isOutage(err) { // go-redis has told no command
		return both(err)
	}
	return outages
}

func firstOutage(cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); isOutage(err) {
			return err
		}
	}
	return nil
}

// ask makes a round trip of the pipeline, of which the first own commands are the
// caller's, and waits for it as long as ctx and the timeout allow. settle is told the
// caller's outcome once, also if that comes after the caller has left for ctx.
func (c *Conn) ask(ctx context.Context, p redis.Pipeliner, own int, settle func(outage error)) outcome {
	kind, began := c.kindOf(p), time.Now()
	if c.cluster {
		sendOnce(ctx, p)
	}
	outages, left := c.send(ctx, p, own, settle)
	c.tripped(kind, began, outages.own, left)
	if denied(outages.own) || denied(outages.rider) {
		c.suspected.Store(true)
	}
	if left != nil {
		return both(fmt.Errorf("asking redis: %w", left))
	}
	return c.downs(outages)
}

// send is ask in the words of the client library: it returns the outages, or ctx's
// error where the caller left.
func (c *Conn) send(ctx context.Context, p redis.Pipeliner, own int, settle func(outage error)) (outages outcome, left error) {
	t := &trip{pipeline: p, own: own, settle: settle, done: make(chan outcome, 1)}
	t.ctx, t.cancel = context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	if outage, left := c.start(ctx, t); outage != nil || left != nil {
		t.cancel()
		return both(outage), left
	}
	select {
	case outages := <-t.done:
		return outages, nil
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-t.ctx.Done():
	}
	select {
	case outages := <-t.done: // it ended just now, and perhaps well
		return outages, nil
	default:
		t.report(errLate)
		return both(errLate), nil
	}
}

// downs turns outages into the errors that callers get.
func (c *Conn) downs(outages outcome) outcome {
	return outcome{own: c.down(outages.own), rider: c.down(outages.rider)}
}

// start hands t to an idle worker or a new one, waiting where all that there may be
// are busy. It returns the outage where none was free in time, or ctx's error where the
// caller left.
func (c *Conn) start(ctx context.Context, t *trip) (outage, left error) {
	select {
	case c.trips <- t:
		return nil, nil
	default:
	}
	select {
	case c.trips <- t:
		return nil, nil
	case c.workers <- struct{}{}:
		go c.work(t)
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.ctx.Done():
		t.report(errCrowded)
		return errCrowded, nil
	}
}

// work runs t and then others, until none has come for workerIdle or the Conn is
// closed.
func (c *Conn) work(t *trip) {
	defer func() { <-c.workers }()
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		t.run()
		idle.Reset(workerIdle)
		select {
		case t = <-c.trips:
		case <-idle.C:
			return
		case <-c.quit:
			return
		}
	}
}

// awaitWorkers waits until no worker is left, for as long as a round trip may last,
// and keeps new ones from starting.
func (c *Conn) awaitWorkers() {
	limit := time.NewTimer(c.timeout)
	defer limit.Stop()
	for range cap(c.workers) {
		select {
		case c.workers <- struct{}{}:
		case <-limit.C:
			return
		}
	}
}
