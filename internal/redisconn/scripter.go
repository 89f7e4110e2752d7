package redisconn

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Scripter runs scripts through a [Conn], with its time limit and its breaker. It
// implements the interface that [redis.Script.Run] and libraries built on scripts need.
// Each call is one round trip; an outage is returned as the command's error and wraps
// [ErrDown].
type Scripter struct{ conn *Conn }

var _ redis.Scripter = Scripter{}

// Scripter returns a Scripter over c.
func (c *Conn) Scripter() Scripter { return Scripter{c} }

// Eval runs the script given as source.
func (s Scripter) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return one(ctx, s.conn, func(p redis.Pipeliner) *redis.Cmd {
		return p.Eval(ctx, script, keys, args...)
	}, redis.NewCmd)
}

// EvalSha runs a script that Redis has stored, by its SHA-1 in hex.
func (s Scripter) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return one(ctx, s.conn, func(p redis.Pipeliner) *redis.Cmd {
		return p.EvalSha(ctx, sha1, keys, args...)
	}, redis.NewCmd)
}

// EvalRO is Eval for a script that does not write (Redis 7 and later).
func (s Scripter) EvalRO(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return one(ctx, s.conn, func(p redis.Pipeliner) *redis.Cmd {
		return p.EvalRO(ctx, script, keys, args...)
	}, redis.NewCmd)
}

// EvalShaRO is EvalSha for a script that does not write (Redis 7 and later).
func (s Scripter) EvalShaRO(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return one(ctx, s.conn, func(p redis.Pipeliner) *redis.Cmd {
		return p.EvalShaRO(ctx, sha1, keys, args...)
	}, redis.NewCmd)
}

// ScriptExists returns for each SHA-1 whether Redis has stored that script.
func (s Scripter) ScriptExists(ctx context.Context, hashes ...string) *redis.BoolSliceCmd {
	return one(ctx, s.conn, func(p redis.Pipeliner) *redis.BoolSliceCmd {
		return p.ScriptExists(ctx, hashes...)
	}, redis.NewBoolSliceCmd)
}

// ScriptLoad stores a script in Redis.
func (s Scripter) ScriptLoad(ctx context.Context, script string) *redis.StringCmd {
	return one(ctx, s.conn, func(p redis.Pipeliner) *redis.StringCmd {
		return p.ScriptLoad(ctx, script)
	}, redis.NewStringCmd)
}

// Del deletes keys. In a cluster all of them must be in one slot.
func (s Scripter) Del(ctx context.Context, keys ...string) *redis.IntCmd {
	return one(ctx, s.conn, func(p redis.Pipeliner) *redis.IntCmd { return p.Del(ctx, keys...) }, redis.NewIntCmd)
}

// one sends the command that queue makes in a round trip of its own. A failed round
// trip may still write to its command, so the error goes into a new one.
func one[C redis.Cmder](
	ctx context.Context, c *Conn, queue func(redis.Pipeliner) C, fresh func(context.Context, ...any) C,
) C {
	var cmd C
	err := c.Do(ctx, func(_ context.Context, p redis.Pipeliner) error {
		cmd = queue(p)
		return nil
	})
	if err != nil {
		cmd = fresh(ctx)
		cmd.SetErr(err)
	}
	return cmd
}
