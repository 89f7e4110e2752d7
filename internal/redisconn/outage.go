package redisconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrDown means that Redis could not be asked or did not answer in time: it is
// unreachable, too slow, starting, a replica, full, refuses the credentials, or was
// known to be down. Errors of this package are told apart with errors.Is.
var ErrDown = errors.New("redis is down")

var (
	errLate    = errors.New("no answer in time")
	errCrowded = errors.New("too many round trips in flight")
)

// outageCodes are the first words of error replies that mean that this Redis
// cannot do its work at present (source: error replies in redis/src of 7.0 and the
// error table of https://redis.io/docs/latest/develop/reference/protocol-spec/).
// Every other error reply is an answer: NOSCRIPT, WRONGTYPE and ERR concern one
// command, and TRYAGAIN some keys of one slot while a cluster moves it, which may take
// minutes (CLUSTER SETSLOT). MOVED and ASK arrive here only where a cluster is addressed
// as a single server, or moves its slots faster than the client follows.
var outageCodes = []string{
	"ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOAUTH",
	"NOREPLICAS", "OOM", "READONLY", "WRONGPASS",
}

// outageReplies are error replies with the general code ERR that are outages.
var outageReplies = []string{
	"ERR max number of clients reached",
	"ERR invalid password",
	"ERR AUTH",
}

// isOutage reports whether err, the outcome of one command or round trip, says
// that Redis is of no use at present, or of none to this command's user.
func isOutage(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return true // no answer at all
	}
	if slices.Contains(outageCodes, code(reply)) {
		return true
	}
	return denied(err) || slices.ContainsFunc(outageReplies, func(prefix string) bool {
		return strings.HasPrefix(reply.Error(), prefix)
	})
}

// late reports whether an outage is only that there was no answer, or no connection, in
// time: Redis may be slow, or this machine busy.
func late(outage error) bool {
	if outage == nil {
		return false
	}
	trouble := troubleOf(outage)
	return trouble == troubleTimeout || trouble == troubleCrowded
}

// code returns the first word of an error reply.
func code(reply redis.Error) string {
	word, _, _ := strings.Cut(reply.Error(), " ")
	return word
}

// describe says what an outage was in words that hold no secret. Of an error reply
// only the code is kept: servers quote the arguments of a command they refuse, and
// those of HELLO and AUTH are credentials.
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
	case errors.Is(outage, redis.ErrPoolTimeout), errors.Is(outage, redis.ErrPoolExhausted):
		return fmt.Sprintf("no free connection within %v", c.timeout)
	case errors.Is(outage, io.EOF):
		return "it closed the connection"
	}
	return c.redact(outage.Error())
}
