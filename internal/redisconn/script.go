package redisconn

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by it
	"encoding/hex"
	"time"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script that uses one key. Redis keeps scripts and runs them by their
// SHA-1.
type Script struct{ source, hash string }

// NewScript returns the script of a source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // as above
	return &Script{source: source, hash: hex.EncodeToString(sum[:])}
}

// Eval runs a script in one round trip, or in two if Redis does not know the script yet.
// It is [Conn.Do] for a script that each request runs: in a group it encodes the command
// and reads the reply in place, with the memory of earlier round trips. A [Rider] in ctx
// adds its commands.
//
// answer receives the reply and returns the error of Eval. It is not called if Redis is
// down or answers with an error reply, which Eval returns. The reply is valid until
// answer returns.
func (c *Conn) Eval(
	ctx context.Context, s *Script, key string, answer func(*Replies) error, arguments ...Argument,
) error {
	err := c.eval(ctx, evaluation{"evalsha", s.hash, key}, answer, arguments)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") { // HasErrorPrefix allocates
		err = c.eval(ctx, evaluation{"eval", s.source, key}, answer, arguments)
	}
	return err
}

// evaluation is a command that runs a script: EVALSHA with the script's hash, or EVAL
// with its source.
type evaluation struct{ command, script, key string }

func (c *Conn) eval(ctx context.Context, e evaluation, answer func(*Replies) error, arguments []Argument) error {
	if c.group == nil {
		return c.evalAlone(ctx, e, answer, arguments)
	}
	rider := c.riderOf(ctx)
	round, err := c.enter(ctx)
	if err != nil {
		if rider != nil {
			finishRider(rider, err)
		}
		return err
	}
	began := time.Now()
	m := c.group.member(account{c, round, false})
	m.script = true
	e.appendTo(&m.request, arguments)
	refused := c.board(ctx, rider, m)
	outages, left := c.group.do(ctx, m)
	end := c.finish(c.kindOfKey(e.key), began, outages, left)
	if rider != nil {
		finishRider(rider, cmp.Or(refused, end.rider))
	}
	if left != nil { // m may still be read for
		return end.own
	}
	if err = cmp.Or(end.own, m.replies.refused); err == nil {
		err = answer(&m.replies)
	}
	c.group.free(m)
	return err
}

// appendTo adds the command to r.
func (e *evaluation) appendTo(r *Request, arguments []Argument) {
	const before = 4 // the command, the script, the number of keys and the key
	r.Command(e.command, before+len(arguments))
	r.Text(e.script)
	r.Int(1)
	r.Text(e.key)
	for _, a := range arguments {
		a.appendTo(r)
	}
}

// board adds the question or the commands of a rider, which may be nil, to m. The error
// is for the rider.
func (c *Conn) board(ctx context.Context, rider Rider, m *member) error {
	if rider == nil || !shareWith(rider, m) {
		return nil
	}
	p := c.client.Pipeline()
	if refused := queueRider(ctx, rider, p); refused != nil {
		return refused
	}
	encoded, commands := len(m.request.encoded), m.request.commands
	if !m.add(p.Cmds(), 0) {
		m.request.encoded, m.request.commands, m.cmds = m.request.encoded[:encoded], commands, nil
		return errNotCarried
	}
	return nil
}

// shareWith adds the rider's question to m, and reports whether the rider has more to
// send. A panic is one of the rider, as in its Queue.
func shareWith(rider Rider, m *member) (more bool) {
	s, ok := rider.(Sharer)
	if !ok {
		return true
	}
	defer func() { _ = recover() }()
	var alone bool
	m.question, alone = s.Share()
	return !alone
}

// evalAlone runs a script through go-redis.
func (c *Conn) evalAlone(
	ctx context.Context, e evaluation, answer func(*Replies) error, arguments []Argument,
) error {
	words := make([]any, 0, 4+len(arguments))
	words = append(words, e.command, e.script, 1, e.key)
	for _, a := range arguments {
		words = append(words, a.value())
	}
	cmd := one(ctx, c, func(p redis.Pipeliner) *redis.Cmd { return p.Do(ctx, words...) }, redis.NewCmd)
	value, err := cmd.Result()
	if err != nil && err != redis.Nil { //nolint:errorlint // go-redis returns it as it is
		return err
	}
	return answer(RepliesOf(value))
}
