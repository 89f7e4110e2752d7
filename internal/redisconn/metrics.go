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

// RoundTrip is one round trip as its caller saw it.
type RoundTrip struct {
	// Kind is what was asked about: the kind that the first key was made with, see
	// [Conn.Key]; "other" where the first command has no such key.
	Kind string
	// Took is how long the caller waited, for a connection too: at most Options.Timeout.
	Took time.Duration
	// Trouble is what went wrong, one of a closed list: "timeout", "no_connection" (all
	// are busy), "refused_by_redis" (an error reply that is an outage), "connection"
	// (refused or broken off), "caller_left"; empty where all commands were answered.
	Trouble string
}

// The troubles of a [RoundTrip].
const (
	troubleTimeout    = "timeout"
	troubleCrowded    = "no_connection"
	troubleReply      = "refused_by_redis"
	troubleConnection = "connection"
	troubleLeft       = "caller_left"
)

// tripped tells onTrip of a round trip of a kind that has just ended.
func (c *Conn) tripped(kind string, began time.Time, outage, left error) {
	if c.onTrip == nil {
		return
	}
	trip := RoundTrip{Kind: kind, Took: time.Since(began)}
	switch {
	case left != nil:
		trip.Trouble = troubleLeft
	case outage != nil:
		trip.Trouble = troubleOf(outage)
	}
	c.onTrip(trip)
}

// troubleOf puts an outage into one of the classes of [RoundTrip].
func troubleOf(outage error) string {
	if _, ok := errors.AsType[redis.Error](outage); ok {
		return troubleReply
	}
	netErr, isNet := errors.AsType[net.Error](outage)
	switch {
	case errors.Is(outage, errCrowded), errors.Is(outage, redis.ErrPoolTimeout), errors.Is(outage, redis.ErrPoolExhausted):
		return troubleCrowded
	case errors.Is(outage, io.EOF):
		return troubleConnection
	case errors.Is(outage, errLate), errors.Is(outage, context.DeadlineExceeded), isNet && netErr.Timeout():
		return troubleTimeout
	}
	return troubleConnection
}

// kindOther is the kind of what has no key of [Conn.Key].
const kindOther = "other"

// kindOf returns the kind of p's first key: of a script the first of its keys, else the
// command's first argument.
func (c *Conn) kindOf(p redis.Pipeliner) string {
	cmds := p.Cmds()
	if c.onTrip == nil || len(cmds) == 0 {
		return kindOther
	}
	args, at := cmds[0].Args(), 1
	if name, _ := args[0].(string); strings.HasPrefix(name, "eval") {
		at = 3 // its name, the script, the number of keys
	}
	if len(args) <= at {
		return kindOther
	}
	key, _ := args[at].(string)
	rest, ours := strings.CutPrefix(key, c.prefix)
	kind, _, tagged := strings.Cut(rest, ":{")
	if !ours || !tagged || len(kind) < 2 {
		return kindOther
	}
	return kind[1:]
}

// Counts are the numbers of a [Conn]'s connections, for metrics.
type Counts struct {
	Open, Idle int64 // connections now; those that are not idle carry round trips

	// Since Open:
	Reused, Dialed int64 // how often a round trip found an idle connection, or made one
	TimedOut       int64 // how often it waited for one in vain
	Stale          int64 // connections that were closed because they had died or were too old
	Skipped        int64 // round trips that were not made because Redis was known to be down
}

// Counts returns a snapshot. The numbers are not of one instant.
func (c *Conn) Counts() Counts {
	s := c.client.PoolStats()
	n := Counts{Skipped: c.skipped.Load()}
	if s != nil {
		n.Open, n.Idle = int64(s.TotalConns), int64(s.IdleConns)
		n.Reused, n.Dialed, n.TimedOut, n.Stale = int64(s.Hits), int64(s.Misses), int64(s.Timeouts), int64(s.StaleConns)
	}
	return n
}
