package cache

import (
	"crypto/rand"
	"time"
)

// This file is the coherence protocol as functions of a state and an instant, without locks, maps or clocks: what a write does to a
// resource when it begins and ends, what a read may take from it, and when an entry may be served. protocol_test.go explores every
// interleaving of two writers and two readers over these functions; Coherence implementations run them, or the same in Lua.
//
//  1. A read takes the generations before it looks for an entry or fetches, never after.
//  2. A write begins on all that it touches before it goes upstream, and ends on it only when its outcome is certain.
//  3. While a lease is alive on a resource nothing is served, stored or shared.
//  4. A lease that has run out when its write ends has protected nothing in between, so that end makes new generations too.

// ID is 128 random bits: a generation, an epoch, a writer. It is never a counter, so that one that was lost and is made anew cannot be
// taken for an older one. The zero ID is none.
type ID [16]byte

// newID returns a fresh random ID. crypto/rand does not fail (it ends the program instead).
func newID() (id ID) {
	_, _ = rand.Read(id[:])
	return id
}

// Stamp says what an answer was read from: the epoch and the generations of the resources it depends on, in their order. Two answers
// with equal stamps are answers to the same question in the same state of the world, as far as writes through the gateway go.
type Stamp struct {
	Epoch       ID
	Generations [maxResources]ID
}

// admit reports whether an entry stored under the stamp entry may be served to a read that got the stamp read.
func admit(entry, read Stamp) bool { return entry == read }

// lease is a write in flight. The zero writer holds, in one lease, all that is never given back: confirmable operations and those
// that were too many to be told apart.
type lease struct {
	writer ID
	until  time.Time
}

// maxLeases is how many writes in flight are told apart on one resource; the others share one lease that ends with the last of them.
const maxLeases = 64

// generation is the state of one resource. It is a value: transitions return a new one.
type generation struct {
	id     ID
	leases []lease
}

// begin is a write that starts at now and takes effect before until, or never: a new generation and a lease. To begin again under the
// same writer renews the lease.
func (g generation) begin(id, writer ID, now, until time.Time) generation {
	next := generation{id: id, leases: make([]lease, 0, len(g.leases)+1)}
	if len(g.leases) >= maxLeases {
		writer = ID{}
	}
	for _, l := range g.leases {
		switch {
		case l.writer == writer && l.until.After(until):
			until = l.until
		case l.writer != writer && l.until.After(now):
			next.leases = append(next.leases, l)
		}
	}
	next.leases = append(next.leases, lease{writer, until})
	return next
}

// end gives the writer's lease back. A lease that has run out meanwhile, or is not there, makes a new generation instead (rule 4).
func (g generation) end(id, writer ID, now time.Time) generation {
	next, held := generation{id: id}, false
	for _, l := range g.leases {
		if !l.until.After(now) {
			continue
		}
		if l.writer == writer {
			held = true
			continue
		}
		next.leases = append(next.leases, l)
	}
	if held && g.id != (ID{}) {
		next.id = g.id
	}
	return next
}

// read is what a read finds at now: the generation, made of id where there is none, and whether it is open, that is, no lease is alive.
func (g generation) read(id ID, now time.Time) (next generation, open bool) {
	if g.id == (ID{}) {
		g.id = id
	}
	for _, l := range g.leases {
		if l.until.After(now) {
			return g, false
		}
	}
	return g, true
}

// epoch is above all generations: a new one makes every entry unservable. Until it settles it is as if a lease were alive on everything.
type epoch struct {
	id      ID
	settles time.Time
}

// renew is a new epoch that does not settle before until; it never shortens a running settling.
func (e epoch) renew(id ID, until time.Time) epoch {
	if e.settles.After(until) {
		until = e.settles
	}
	return epoch{id: id, settles: until}
}

// settled reports whether entries may be served and stored under e at now.
func (e epoch) settled(now time.Time) bool { return !e.settles.After(now) }
