package coherence

import (
	"encoding/hex"

	"osgate/internal/redisconn"
)

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
		r.Bytes(hex.AppendEncode(append(room[:0], slot.generation...), resources[i].Hash[:]))
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
		r.Bytes(append(append(room[:0], 'l'), resources[i].Hash[:]...))
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
	}
}
