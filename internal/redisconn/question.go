package redisconn

import (
	"context"
	"time"
)

// Sharer is a [Rider] that has a question. In a group, the questions of all callers in a
// batch are answered by the same commands, which Redis runs once, after all of these
// callers have begun to wait. Without a group a Sharer is a Rider.
type Sharer interface {
	Rider

	// Share returns the question of the next round trip, in place of commands. If alone
	// is true, Queue is not called. If there is no question, it returns nil and false.
	//
	// Each question is for one round trip: if its caller leaves, it may be answered
	// later.
	Share() (q Question, alone bool)
}

// Question is what a [Sharer] wants to know.
type Question interface {
	// Join adds the commands that answer a batch of questions, of which it is the first,
	// and returns what reads the replies. It may leave out others, which then have no
	// answer. It is called in the goroutine of one of the callers, and must be quick.
	Join(batch []Question, r *Request) Joint
}

// Joint reads the replies to the commands of one batch of questions.
type Joint interface {
	// Answer gives the questions their answers, before the callers continue. It is
	// called in the goroutine that reads for all callers, and must be quick. It is not
	// called if the replies do not arrive in time.
	Answer(replies *Replies)
}

// Shares reports whether questions are shared: whether c has a group.
func (c *Conn) Shares() bool { return c.group != nil }

// Ask makes a round trip for a question alone. It is only for a Conn that shares
// questions. Kind is that of the [RoundTrip]. Errors are those of [Conn.Do]. After an
// error the question may be answered later.
func (c *Conn) Ask(ctx context.Context, kind string, q Question) error {
	round, err := c.enter(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	m := c.group.member(account{c, round, false})
	m.question = q
	outages, left := c.group.do(ctx, m)
	if left == nil {
		c.group.free(m)
	}
	return c.finish(kind, began, outages, left).own
}
