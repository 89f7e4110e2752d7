package redisconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// workerIdle is how long a worker waits for its next round trip before it ends.
const workerIdle = time.Second

// trip is one round trip to Redis. It runs in a worker's goroutine, so that a slow
// client library holds up the worker and not the caller. It continues when the caller
// leaves early, so that its outcome still counts for the breaker.
//
// Workers are kept for a while because the stack of a new goroutine must grow to the
// depth of go-redis: measured with 16 and 128 concurrent GETs on a busy machine, a new
// goroutine for each trip adds about 8 µs to the 20 µs of a GET, a kept one about 2 µs.
type trip struct {
	//nolint:containedctx // for a worker; ends with the trip, not with the caller
	ctx      context.Context
	cancel   context.CancelFunc
	pipeline redis.Pipeliner
	own      int // number of the caller's commands; a rider's commands follow them
	account  account
	settled  atomic.Bool
	done     chan outcome // receives the outages; never blocks
}

// outcome holds the outcome of a round trip for the caller's own commands and for a
// rider's. Nil means that all of them were answered.
type outcome struct{ own, rider error }

// both returns an outcome that is the same for caller and rider.
func both(err error) outcome { return outcome{err, err} }

// run sends the pipeline. The outcome of a rider's commands does not count for the
// breaker: in a cluster they may concern another node.
func (t *trip) run() {
	outages := exec(t.ctx, t.pipeline, t.own)
	t.report(outages.own)
	t.done <- outages
	t.cancel()
}

// report passes only the first outcome that it receives to the breaker.
func (t *trip) report(outage error) {
	if t.settled.CompareAndSwap(false, true) {
		t.account.settle(outage)
	}
}

// exec sends the pipeline and returns the first outage among the outcomes of the first
// own commands, and the first among the rest.
func exec(ctx context.Context, p redis.Pipeliner, own int) outcome {
	cmds, err := p.Exec(ctx)
	outages := outcome{own: firstOutage(cmds[:own]), rider: firstOutage(cmds[own:])}
	if outages == (outcome{}) && isOutage(err) { // go-redis has set no command's error
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

// roundTrip sends the pipeline, whose first own commands are the caller's, and waits
// for it as long as ctx and the timeout allow. The account receives the caller's
// outcome once, also if it comes after the caller has left because of ctx.
func (c *Conn) roundTrip(ctx context.Context, p redis.Pipeliner, own int, a account) outcome {
	kind, began := c.kindOf(p), time.Now()
	if c.cluster {
		sendOnce(ctx, p)
	}
	outages, left := c.send(ctx, p, own, a)
	return c.finish(kind, began, outages, left)
}

// finish reports a round trip that has just ended, and converts its outages into the
// errors for callers.
func (c *Conn) finish(kind string, began time.Time, outages outcome, left error) outcome {
	c.reportTrip(kind, began, outages.own, left)
	if denied(outages.own) || denied(outages.rider) {
		c.suspected.Store(true)
	}
	if left != nil {
		return both(fmt.Errorf("redis: %w", left))
	}
	return outcome{own: c.down(outages.own), rider: c.down(outages.rider)}
}

// send makes the round trip and returns the outages as the client library reports them,
// or ctx's error if the caller left.
func (c *Conn) send(ctx context.Context, p redis.Pipeliner, own int, a account) (outages outcome, left error) {
	if c.group != nil {
		m := c.group.member(a)
		if m.add(p.Cmds(), own) {
			if outages, left = c.group.do(ctx, m); left == nil {
				c.group.free(m)
			}
			return outages, left
		}
		c.group.free(m)
	}
	t := &trip{pipeline: p, own: own, account: a, done: make(chan outcome, 1)}
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
	case outages := <-t.done: // it ended just now, perhaps without an outage
		return outages, nil
	default:
		t.report(errLate)
		return both(errLate), nil
	}
}

// start passes t to an idle worker or a new one, and waits if all are busy. It returns
// an outage if none was free in time, or ctx's error if the caller left.
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
		t.report(errBusy)
		return errBusy, nil
	}
}

// work runs t and then other trips, until none has arrived for workerIdle or the Conn
// is closed.
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

// RoundTrip describes one round trip from its caller's side.
type RoundTrip struct {
	// Kind is the kind of the first key, see [Conn.Key]; "other" if the first command
	// has no such key.
	Kind string
	// Took is how long the caller waited, including for a connection: at most
	// Options.Timeout.
	Took time.Duration
	// Failure is one of a closed list: "timeout", "no_connection" (all are busy),
	// "refused_by_redis" (an error reply that is an outage), "connection" (refused or
	// broken), "caller_left"; empty if all commands were answered.
	Failure string
}

// The failures of a [RoundTrip].
const (
	failureTimeout      = "timeout"
	failureNoConnection = "no_connection"
	failureReply        = "refused_by_redis"
	failureConnection   = "connection"
	failureLeft         = "caller_left"
)

// reportTrip passes a round trip of a kind that has just ended to onTrip.
func (c *Conn) reportTrip(kind string, began time.Time, outage, left error) {
	if c.onTrip == nil {
		return
	}
	trip := RoundTrip{Kind: kind, Took: time.Since(began)}
	switch {
	case left != nil:
		trip.Failure = failureLeft
	case outage != nil:
		trip.Failure = failureOf(outage)
	}
	c.onTrip(trip)
}

// failureOf returns the class of an outage for [RoundTrip].
func failureOf(outage error) string {
	if _, ok := errors.AsType[redis.Error](outage); ok {
		return failureReply
	}
	netErr, isNet := errors.AsType[net.Error](outage)
	switch {
	case errors.Is(outage, errBusy), errors.Is(outage, errNoConnection), errors.Is(outage, redis.ErrPoolTimeout),
		errors.Is(outage, redis.ErrPoolExhausted):
		return failureNoConnection
	case errors.Is(outage, io.EOF):
		return failureConnection
	case errors.Is(outage, errLate), errors.Is(outage, context.DeadlineExceeded), isNet && netErr.Timeout():
		return failureTimeout
	}
	return failureConnection
}

// kindOther is the kind of commands without a key of [Conn.Key].
const kindOther = "other"

// kindOf returns the kind of p's first key: for a script the first of its keys,
// otherwise the command's first argument.
func (c *Conn) kindOf(p redis.Pipeliner) string {
	cmds := p.Cmds()
	if c.onTrip == nil || len(cmds) == 0 {
		return kindOther
	}
	args, at := cmds[0].Args(), 1
	if name, _ := args[0].(string); strings.HasPrefix(name, "eval") {
		at = 3 // after the name, the script and the number of keys
	}
	if len(args) <= at {
		return kindOther
	}
	key, _ := args[at].(string)
	return c.kindOfKey(key)
}

// kindOfKey returns the kind of a key.
func (c *Conn) kindOfKey(key string) string {
	rest, ours := strings.CutPrefix(key, c.prefix)
	kind, _, tagged := strings.Cut(rest, ":{")
	if !ours || !tagged || len(kind) < 2 {
		return kindOther
	}
	return kind[1:]
}

// Counts are the numbers of a [Conn]'s connections, for metrics.
type Counts struct {
	Open, Idle int64 // current connections; those that are not idle carry round trips

	// Since Open:
	Reused, Dialed int64 // round trips that found an idle connection, or opened one
	TimedOut       int64 // round trips that got no connection in time
	Stale          int64 // connections that were closed because they were broken or too old
	Skipped        int64 // round trips that were not made because Redis was known to be down
}

// Counts returns the current numbers. They are not read at one instant.
func (c *Conn) Counts() Counts {
	s := c.client.PoolStats()
	n := Counts{Skipped: c.skipped.Load()}
	if s != nil {
		n.Open, n.Idle = int64(s.TotalConns), int64(s.IdleConns)
		n.Reused, n.Dialed, n.TimedOut, n.Stale = int64(s.Hits), int64(s.Misses), int64(s.Timeouts), int64(s.StaleConns)
	}
	if c.group != nil {
		c.group.count(&n)
	}
	return n
}

// count adds the group's connection to n.
func (g *group) count(n *Counts) {
	n.Reused += g.counts.reused.Load()
	n.Dialed += g.counts.dialed.Load()
	n.TimedOut += g.counts.timedOut.Load()
	n.Stale += g.counts.stale.Load()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.line == nil {
		return
	}
	n.Open++
	if len(g.line.pending) == 0 {
		n.Idle++
	}
}
