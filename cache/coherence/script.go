package coherence

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

// The scripts of the protocol, each after the common head. A script makes a decision of
// the protocol atomic with its reads and writes.
var (
	//go:embed lua/enter.lua
	enterLua string
	//go:embed lua/read.lua
	readLua string
	//go:embed lua/mark.lua
	markLua string
	//go:embed lua/release.lua
	releaseLua string
	//go:embed lua/epoch.lua
	epochLua string
)

// The scripts for tokens, which use no epoch.
var (
	//go:embed lua/token.lua
	tokenLua string
	//go:embed lua/grant.lua
	grantLua string
	//go:embed lua/revoke.lua
	revokeLua string
)

// scripts are the scripts that [Redis] runs in Redis.
type scripts struct{ read, mark, release, epoch, token, grant, revoke *redis.Script }

// writes is the first line of every script. It declares that the script writes, and so
// Redis refuses to run it while it cannot write: it is full (OOM), has too few replicas
// (NOREPLICAS), cannot persist (MISCONF) or is a replica (READONLY). Without the line,
// a read whose generations exist would succeed, and would serve an entry during a write
// that could not be marked. Redis 7.0 and later support the line ("Script flags" in the
// Lua API reference of Redis).
const writes = "#!lua\n"

func newScripts() scripts {
	script := func(parts ...string) *redis.Script { return redis.NewScript(writes + strings.Join(parts, "")) }
	return scripts{
		read: script(enterLua, readLua), mark: script(enterLua, markLua),
		release: script(enterLua, releaseLua), epoch: script(enterLua, epochLua),
		token: script(tokenLua), grant: script(grantLua), revoke: script(revokeLua),
	}
}

// call is one script to run in one slot, with its answer or its error.
type call struct {
	script *redis.Script
	slot   uint8
	keys   []string
	args   []any
	lease  time.Duration // of a mark
	answer []string
	err    error
}

var errOddAnswer = errors.New("a script returned an unexpected answer")

// queue adds the call to a pipeline by the script's hash, or, if whole is true, by its
// source, which Redis then keeps.
func (c *call) queue(ctx context.Context, p redis.Pipeliner, whole bool) *redis.Cmd {
	if whole {
		return c.script.Eval(ctx, p, c.keys, c.args...)
	}
	return c.script.EvalSha(ctx, p, c.keys, c.args...)
}

// run runs the calls in one round trip, and in one more those whose scripts Redis does
// not know (because a script is new or Redis was restarted). A call that ran is not sent
// again: it would use the id of its generation twice. After an error it is not known
// which calls took effect.
func run(ctx context.Context, conn *redisconn.Conn, calls []call) error {
	cmds, err := send(ctx, conn, calls, false)
	if err != nil {
		return err
	}
	var unknown []int
	var again []call
	for i, c := range calls {
		if notKnown(cmds[i]) {
			unknown, again = append(unknown, i), append(again, c)
		}
	}
	if len(again) > 0 {
		sent, err := send(ctx, conn, again, true)
		if err != nil {
			return err
		}
		for i, at := range unknown {
			cmds[at] = sent[i]
		}
	}
	return take(calls, cmds)
}

func send(ctx context.Context, conn *redisconn.Conn, calls []call, whole bool) (cmds []*redis.Cmd, err error) {
	err = conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		cmds = queueAll(ctx, p, calls, whole)
		return nil
	})
	return cmds, err
}

func queueAll(ctx context.Context, p redis.Pipeliner, calls []call, whole bool) []*redis.Cmd {
	cmds := make([]*redis.Cmd, len(calls))
	for i := range calls {
		cmds[i] = calls[i].queue(ctx, p, whole)
	}
	return cmds
}

// take stores the answer of each call and returns the first error.
func take(calls []call, cmds []*redis.Cmd) (first error) {
	for i, cmd := range cmds {
		calls[i].answer, calls[i].err = cmd.StringSlice()
		if calls[i].err != nil && first == nil {
			first = fmt.Errorf("running a coherence script: %w", calls[i].err)
		}
	}
	return first
}

func notKnown(cmd *redis.Cmd) bool { return redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") }
