package redisconn

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// member is one round trip of a caller in a [group].
type member struct {
	request  Request
	script   bool    // the request begins with a script of [Conn.Eval]
	replies  Replies // to that script; for its caller after a turn without leading
	cmds     []redis.Cmder
	own      int      // number of the caller's commands in cmds; a rider's commands follow them
	question Question // of a rider; nil: none
	deadline time.Time
	account  account
	state    memberState // guarded by the group's mutex
	outcome  outcome     // valid after a turn without leading
	turn     chan bool   // receives true: lead the next batch; false: the trip is over
}

type memberState int

const (
	memberWaits memberState = iota
	memberLeads             // chosen to lead, or leading
	memberSent              // its batch is under way or over
)

// answered computes the outcome of a member whose own replies have all been read. Shared
// is the outage of the questions of its batch.
func (m *member) answered(shared error) outcome {
	own, rider := m.replies.outage, firstOutage(m.cmds[m.own:])
	if own == nil {
		own = firstOutage(m.cmds[:m.own])
	}
	if m.question != nil && rider == nil {
		rider = shared
	}
	if m.request.commands == 0 { // its question is all that it has
		own = shared
	}
	return outcome{own: own, rider: rider}
}

// over ends the round trip. Its caller may reuse m from then on.
func (m *member) over(o outcome) {
	m.outcome = o
	m.turn <- false // has room: a member gets one turn at a time
}

// batch is the members whose commands are sent together.
type batch struct {
	members  []*member
	deadline time.Time // of the oldest member
	all      []*member // the members, whether or not they have ended
	replies  int       // expected in all
	read     int       // replies read so far; only for the reader
	complete int       // members whose replies have all been read; only for the reader
	late     bool      // the members have been given up, and their replies are skipped

	request   Request    // of the whole batch
	questions []Question // of the members
	joint     Joint      // for the questions; nil: none. Its replies are the last
	shared    error      // the outage of the questions
}

// batch returns a batch of members, oldest first.
func (g *group) batch(members []*member) *batch {
	b, _ := g.batches.Get().(*batch)
	if b == nil {
		b = &batch{}
	}
	b.members, b.deadline = append(b.all[:0], members...), members[0].deadline
	b.all = b.members
	for _, m := range members {
		m.state = memberSent
		b.replies += m.request.commands
	}
	return b
}

// end ends the members: those whose replies have been read as answered, the others by
// the outage. The breaker counts the outage up to the given number of times.
func (b *batch) end(outage error, counted int) {
	shared := b.shared
	if b.read < b.replies {
		shared = outage
	}
	for i, m := range b.members {
		o := both(outage)
		if i < b.complete {
			o = m.answered(shared)
		}
		if i < b.complete+counted {
			m.account.settle(o.own)
		}
		m.over(o)
	}
	b.members = nil
}
