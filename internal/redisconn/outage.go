package redisconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrDown means that no command was sent to Redis or that it did not answer in time:
// Redis is unreachable, too slow, starting, a replica, full, refuses the credentials,
// or was known to be down. Use errors.Is to distinguish the errors of this package.
var ErrDown = errors.New("redis is down")

var (
	errLate = errors.New("no answer in time")
	errBusy = errors.New("too many round trips in flight")

	errNoConnection = errors.New("no connection in time")
)

// outageCodes are the first words of error replies that mean that this Redis cannot
// work at present (source: error replies in redis/src of 7.0 and the error table of
// https://redis.io/docs/latest/develop/reference/protocol-spec/). Every other error
// reply counts as an answer: NOSCRIPT, WRONGTYPE and ERR concern one command, and
// TRYAGAIN concerns some keys of one slot while a cluster moves it, which may take
// minutes (CLUSTER SETSLOT). MOVED and ASK arrive here only if a cluster is used as a
// single server, or moves its slots faster than the client follows.
var outageCodes = []string{
	"ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH",
	"NOREPLICAS", "OOM", "READONLY", "WRONGPASS",
}

// outageReplies are error replies with the general code ERR that mean an outage.
var outageReplies = []string{
	"ERR max number of clients reached",
	"ERR invalid password",
	"ERR AUTH",
}

// isOutage reports whether err, the outcome of one command or round trip, means that
// Redis cannot serve at present, or cannot serve this command's user.
func isOutage(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return true // not a reply of Redis
	}
	if slices.Contains(outageCodes, code(reply)) {
		return true
	}
	return denied(err) || slices.ContainsFunc(outageReplies, func(prefix string) bool {
		return strings.HasPrefix(reply.Error(), prefix)
	})
}

// late reports whether an outage is only a missing answer or connection in time: Redis
// may be slow, or this machine busy.
func late(outage error) bool {
	if outage == nil {
		return false
	}
	failure := failureOf(outage)
	return failure == failureTimeout || failure == failureNoConnection
}

// code returns the first word of an error reply.
func code(reply redis.Error) string {
	word, _, _ := strings.Cut(reply.Error(), " ")
	return word
}

// describe returns a description of an outage without secrets. It contains only the
// code of an error reply: servers quote the arguments of a refused command, and the
// arguments of HELLO and AUTH are credentials.
func (c *Conn) describe(outage error) string {
	if denied(outage) {
		return "it answered NOPERM: the user lacks a right"
	}
	if reply, ok := errors.AsType[redis.Error](outage); ok {
		return "it answered " + code(reply)
	}
	netErr, isNet := errors.AsType[net.Error](outage)
	switch {
	case errors.Is(outage, errLate), errors.Is(outage, context.DeadlineExceeded), isNet && netErr.Timeout():
		return fmt.Sprintf("no answer within %v", c.timeout)
	case errors.Is(outage, redis.ErrPoolTimeout), errors.Is(outage, redis.ErrPoolExhausted),
		errors.Is(outage, errNoConnection):
		return fmt.Sprintf("no free connection within %v", c.timeout)
	case errors.Is(outage, io.EOF):
		return "it closed the connection"
	}
	return c.redact(outage.Error())
}

// account receives the outcome of a round trip for the breaker.
type account struct {
	conn  *Conn
	round uint64 // the breaker's, in which the round trip was admitted
	probe bool   // a probe belongs to no round
}

func (a account) settle(outage error) {
	if a.probe {
		a.conn.probed(outage)
		return
	}
	a.conn.settle(a.round, outage)
}

// settle reports the outcome of a round trip admitted in round to the breaker. A reply
// that a right is missing is not an outage: the probes, which need other rights, would
// end the outage at once, and the next request would begin it again.
func (c *Conn) settle(round uint64, outage error) {
	c.mu.Lock()
	var changed bool
	if now := time.Now(); late(outage) {
		changed = c.breaker.Late(round, now)
	} else {
		changed = c.breaker.Settle(round, outage == nil || denied(outage), now)
	}
	c.note(changed, outage)
	c.mu.Unlock()
	c.notify(changed)
}

// probed reports the outcome of a probe to the breaker.
func (c *Conn) probed(outage error) {
	c.mu.Lock()
	var changed bool
	if now := time.Now(); late(outage) {
		changed = c.breaker.ProbedLate(now)
	} else {
		changed = c.breaker.Probed(outage == nil, now)
	}
	c.note(changed, outage)
	c.mu.Unlock()
	c.notify(changed)
}

// note records an outcome in the state. c.mu must be held.
func (c *Conn) note(changed bool, outage error) {
	if outage != nil {
		c.state.LastError = c.describe(outage)
	}
	if !changed {
		return
	}
	c.state.OK, c.state.Since = c.breaker.Closed(), time.Now()
	c.downErr = fmt.Errorf("%w: %s", ErrDown, c.state.LastError)
	if c.onChange != nil {
		c.changes.Add(c.snapshot())
	}
}

// notify passes the pending changes to onChange without holding c.mu, so that onChange
// may call State.
func (c *Conn) notify(changed bool) {
	if changed && c.onChange != nil {
		c.changes.Deliver(c.onChange)
	}
}
