package redisconn

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

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
