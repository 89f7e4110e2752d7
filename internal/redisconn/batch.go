package redisconn

import (
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// member is one round trip of a caller in a [group].
type member struct {
	cmds     []redis.Cmder
	own      int // number of the caller's commands; a rider's commands follow them
	request  []byte
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

// answered computes the outcome of a member whose replies have all been read.
func (m *member) answered() outcome {
	return outcome{own: firstOutage(m.cmds[:m.own]), rider: firstOutage(m.cmds[m.own:])}
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
	replies  int       // expected in all
	read     int       // replies read so far; only for the reader
	complete int       // members whose replies have all been read; only for the reader
	late     bool      // the members have been given up, and their replies are skipped
}

// newBatch returns a batch of members, oldest first.
func newBatch(members []*member) *batch {
	b := &batch{members: slices.Clone(members), deadline: members[0].deadline}
	for _, m := range members {
		m.state = memberSent
		b.replies += len(m.cmds)
	}
	return b
}

// end ends the members: those whose replies have been read as answered, the others by
// the outage. The breaker counts the outage up to the given number of times.
func (b *batch) end(outage error, counted int) {
	for i, m := range b.members {
		o := both(outage)
		if i < b.complete {
			o = m.answered()
		}
		if i < b.complete+counted {
			m.account.settle(o.own)
		}
		m.over(o)
	}
	b.members = nil
}
