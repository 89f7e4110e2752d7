package coherence

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"osgate/internal/redisconn"
)

// This file reads generations without a script: one transaction for all callers that
// wait at the same time. It reads each slot once, each resource once, and once the clock
// and the server.
//
// The transaction changes nothing. It decides only the usual case: the epoch was made by
// this server, and each generation exists. In all others, and where a lease must be
// bounded, the script decides (lua/read.lua), in a round trip of its own. Redis runs a
// transaction at once, as it runs a script, and so the decision equals the script's at
// that instant. explorer_test.go explores it.
//
// A script of this package is refused by a Redis that cannot write (writes in
// script.go). So that the transaction is refused too, it contains a write: a SET of a
// key that does not exist, if it exists.

// readQuestion is the read of one caller, for one round trip.
type readQuestion struct {
	coherence *Redis
	on        Resources
	places    [maxResources]readPlace
	script    bool // read by the script: a generation may be missing

	reading  Reading
	answered bool // reading is valid; otherwise the script must decide, in a round trip of its own
}

// readPlace is where a joint read has a resource.
type readPlace struct{ slot, resource uint16 }

var _ redisconn.Question = (*readQuestion)(nil)

// sharesReads reports whether reads are now made without a script.
func (c *Redis) sharesReads() bool {
	until := c.scriptsUntil.Load()
	return c.conn.Shares() && (until == 0 || time.Now().UnixNano() > until)
}

// refusedFor is how long reads are made by the script after Redis has refused a
// transaction, for example because the user lacks the right.
const refusedFor = 10 * time.Second

// Join implements [redisconn.Question].
func (q *readQuestion) Join(batch []redisconn.Question, r *redisconn.Request) redisconn.Joint {
	j, _ := q.coherence.joints.Get().(*jointRead)
	if j == nil {
		j = &jointRead{coherence: q.coherence}
	}
	for _, other := range batch {
		switch one, ok := other.(*readQuestion); {
		case !ok || one.coherence != q.coherence:
		case one.script:
			one.appendScript(r)
			j.scripted = append(j.scripted, one)
		default:
			j.add(one)
		}
	}
	if len(j.questions) > 0 {
		j.appendTo(r)
	}
	return j
}

// answer sets the reading from the parts of j, if all of them are decided.
func (q *readQuestion) answer(j *jointRead) {
	for i, resource := range q.on.All() {
		at := q.places[i]
		slot := &j.slots[at.slot]
		part := &slot.parts[at.resource]
		if !slot.decided || !part.decided {
			return
		}
		if i == 0 || resource.Slot != q.on.list[i-1].Slot {
			q.reading.Stamp.Epoch.combine(slot.epoch)
			q.reading.Stamp.Epoch.combine(slot.purge)
			if slot.settling {
				q.reading.Closed = closedBySettling
			}
		}
		q.reading.Stamp.Generations[i] = part.id
		if part.leased && !slot.settling {
			q.reading.Closed = closedByWrite
		}
	}
	q.answered = true
}

// jointRead is the read scripts of a batch, and then one transaction for its other reads.
// It is used again.
type jointRead struct {
	coherence *Redis
	scripted  []*readQuestion
	questions []*readQuestion // of the transaction
	slots     []slotRead
}

// slotRead is the part of a joint read in one slot.
type slotRead struct {
	slot  uint8
	parts []partRead

	epoch, purge ID
	settling     bool
	decided      bool // the epoch is that of this server; otherwise the script must decide
}

// partRead is the part of a joint read for one resource.
type partRead struct {
	resource Resource
	id       ID
	leased   bool
	decided  bool // the generation exists, and no lease must be bounded
}

// add adds the resources of a question, each once.
func (j *jointRead) add(q *readQuestion) {
	j.questions = append(j.questions, q)
	for i, resource := range q.on.All() {
		at := slices.IndexFunc(j.slots, func(s slotRead) bool { return s.slot == resource.Slot })
		if at < 0 {
			at = j.addSlot(resource.Slot)
		}
		q.places[i] = readPlace{slot: uint16(at), resource: j.slots[at].place(resource)}
	}
}

// addSlot adds a slot, with the memory of an earlier read, and returns its place.
func (j *jointRead) addSlot(slot uint8) (at int) {
	at = len(j.slots)
	if at < cap(j.slots) {
		j.slots = j.slots[:at+1]
	} else {
		j.slots = append(j.slots, slotRead{})
	}
	j.slots[at] = slotRead{slot: slot, parts: j.slots[at].parts[:0]}
	return at
}

// place returns the place of a resource, which it adds if it is not there.
func (s *slotRead) place(resource Resource) uint16 {
	for i := range s.parts {
		if s.parts[i].resource == resource {
			return uint16(i)
		}
	}
	s.parts = append(s.parts, partRead{resource: resource})
	return uint16(len(s.parts) - 1)
}

// slotFields are the fields of a slot's hash that a read needs (lua/enter.lua), before
// those of the leases.
var slotFields = [...]string{"epoch", "server", "settles", "virgin", "purge", "bound"}

// appendTo adds the transaction to r. Answer reads its replies in the same order.
func (j *jointRead) appendTo(r *redisconn.Request) {
	r.Command("multi", 1)
	r.Command("time", 1)
	r.Command("set", 6)
	for _, word := range [...]string{j.coherence.absent, "", "px", "1", "xx"} {
		r.Text(word)
	}
	r.Command("info", 2)
	r.Text("replication")
	for i := range j.slots {
		j.slots[i].appendTo(r, &j.coherence.slots[j.slots[i].slot])
	}
	r.Command("exec", 1)
}

// appendTo adds the commands that read a slot.
func (s *slotRead) appendTo(r *redisconn.Request, slot *redisSlot) {
	r.Command("hmget", 2+len(slotFields)+len(s.parts))
	r.Text(slot.key)
	for _, field := range slotFields {
		r.Text(field)
	}
	var room [128]byte
	for i := range s.parts {
		r.Bytes(s.parts[i].resource.appendLease(room[:0]))
	}
	r.Command("mget", 1+len(s.parts))
	for i := range s.parts {
		r.Bytes(slot.appendGeneration(room[:0], &s.parts[i].resource))
	}
}

// Answer implements [redisconn.Joint].
func (j *jointRead) Answer(replies *redisconn.Replies) {
	switch {
	case replies.Err() == nil:
		j.take(replies)
	case len(j.scripted) == 0: // the error is the transaction's
		j.coherence.scriptsUntil.Store(time.Now().Add(refusedFor).UnixNano())
	}
	clear(j.questions)
	clear(j.scripted)
	j.scripted, j.questions, j.slots = j.scripted[:0], j.questions[:0], j.slots[:0]
	j.coherence.joints.Put(j)
}

// take reads the replies and answers the questions. It answers none if the replies have
// any other form.
func (j *jointRead) take(replies *redisconn.Replies) {
	for _, q := range j.scripted {
		q.takeScript(replies)
	}
	if len(j.questions) > 0 {
		j.takeTransaction(replies)
	}
}

// takeTransaction reads the replies to the transaction.
func (j *jointRead) takeTransaction(replies *redisconn.Replies) {
	const common = 3 // TIME, SET and INFO
	perSlot := 2 * len(j.slots)
	for range 1 + common + perSlot { // OK, and QUEUED for each command
		replies.Skip()
	}
	if replies.Array() != common+perSlot || replies.Array() != 2 {
		return
	}
	now := number(replies.Text())*1e6 + number(replies.Text())
	replies.Skip()
	server := serverIn(replies.Text())
	for i := range j.slots {
		remembered := j.coherence.slots[j.slots[i].slot].remembered.Load()
		j.slots[i].take(replies, now, server, remembered)
	}
	if replies.Err() != nil {
		return
	}
	for i := range j.slots {
		if s := &j.slots[i]; s.decided {
			j.coherence.slots[s.slot].remember(s.epoch)
		}
	}
	for _, q := range j.questions {
		q.answer(j)
	}
}

// take reads the replies of a slot. The script must decide if it would change the epoch,
// or the time when it settles.
func (s *slotRead) take(replies *redisconn.Replies, now int64, server []byte, remembered *ID) {
	replies.Array()
	epoch, made, settles := replies.Text(), replies.Text(), number(replies.Text())
	virgin, purge, bound := replies.Text(), replies.Text(), replies.Text()
	longest := int64(24 * time.Hour / time.Microsecond) // of an older version, as in enter
	if bound != nil {
		longest = number(bound)
	}
	s.settling = settles > now
	s.decided = s.epoch.read(epoch) && len(server) > 0 && bytes.Equal(made, server) && settles <= now+longest &&
		(purge == nil || s.purge.read(purge)) &&
		(string(virgin) != "1" || remembered == nil || *remembered == s.epoch)
	for i := range s.parts {
		p, leases := &s.parts[i], replies.Text()
		p.leased = leasedAt(leases, now)
		p.decided = !leasedAt(leases, now+longest)
	}
	replies.Array()
	for i := range s.parts {
		p := &s.parts[i]
		p.decided = p.id.read(replies.Text()) && p.decided
	}
}

// number parses a number that a script has stored; 0 if it is missing or none.
func number(text []byte) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64) // the compiler keeps the conversion on the stack
	return n
}

// serverIn returns the server in an answer to INFO replication; nil: it shows none.
func serverIn(info []byte) []byte {
	_, rest, found := bytes.Cut(info, []byte("master_replid:"))
	if !found {
		return nil
	}
	id, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return id
}

// The read script in the same form as a joint read: its command is encoded in place and
// its answer is read in place. Each caller runs it for its own resources.

// appendScript adds the read script (lua/read.lua), once for each slot.
func (q *readQuestion) appendScript(r *redisconn.Request) {
	for from, to := range q.on.slots() {
		q.appendSlot(r, q.on.list[from:to])
	}
}

// appendSlot adds the read script for resources of one slot.
func (q *readQuestion) appendSlot(r *redisconn.Request, resources []Resource) {
	c, slot := q.coherence, &q.coherence.slots[resources[0].Slot]
	r.Command("evalsha", 3+1+len(resources)+headArgs+2*len(resources))
	r.Text(c.scripts.read.Hash())
	r.Int(int64(1 + len(resources)))
	r.Text(slot.key)
	var room [128]byte
	for i := range resources {
		r.Bytes(slot.appendGeneration(room[:0], &resources[i]))
	}
	if remembered := slot.remembered.Load(); remembered != nil {
		r.Bytes(remembered[:])
	} else {
		r.Text("")
	}
	fresh := NewID()
	r.Bytes(fresh[:])
	r.Int(c.options.Settle.Microseconds())
	r.Text(flag(c.options.Strict))
	r.Int(generationLife.Milliseconds())
	for i := range resources {
		r.Bytes(resources[i].appendLease(room[:0]))
	}
	for range resources {
		fresh = NewID()
		r.Bytes(fresh[:])
	}
}

// takeScript reads the answers of the script and sets the reading. They are as in
// [Reading.take].
func (q *readQuestion) takeScript(replies *redisconn.Replies) {
	reading, ok := Reading{}, true
	for from, to := range q.on.slots() {
		if replies.Array() != readHead+to-from {
			return
		}
		var epoch, purge, id ID
		ok = ok && epoch.read(replies.Text())
		reading.Stamp.Epoch.combine(epoch)
		if text := replies.Text(); len(text) > 0 {
			ok = ok && purge.read(text)
			reading.Stamp.Epoch.combine(purge)
		}
		if closed := replies.Text(); len(closed) > 0 {
			reading.Closed = string(closed)
		}
		for i := from; i < to; i++ {
			ok = ok && id.read(replies.Text())
			reading.Stamp.Generations[i] = id
		}
		if ok {
			q.coherence.slots[q.on.list[from].Slot].remember(epoch)
		}
	}
	if q.answered = ok && replies.Err() == nil; q.answered {
		q.reading = reading
		q.coherence.seen.add(&q.on)
	}
}
