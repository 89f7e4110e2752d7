package coherence

import (
	"crypto/rand"
	"slices"
	"time"
)

// This file is the coherence protocol as functions of a state and an instant, without
// locks, maps or clocks: how a write changes the state of a resource when it begins and
// ends, what a read gets from that state, and when an entry may be served.
// protocol_test.go explores every interleaving of two writers and two readers over
// these functions. Implementations of Tracker call them, or do the same in Lua.
//
//  1. A read takes the generations before it looks for an entry or fetches, never after.
//  2. A write begins on all resources that it touches before it is sent upstream, and
//     ends on them only when its outcome is certain.
//  3. While a lease is alive on a resource, no entry of it is served, stored or shared.
//  4. A write that may have changed something makes new generations when it ends. One
//     that upstream refused has changed nothing: it gives its lease back, and the
//     generations stay as they were.
//  5. A lease that runs out ends the generation too: its write may have changed something,
//     and a later read must not find entries that were stored before. The same holds for
//     a lease that is missing when its write ends.

// ID is 128 random bits: a generation, an epoch or a writer. It is never a counter, so
// that an id that was lost and is made again cannot equal an older one. The zero ID
// means none.
type ID [16]byte

// NewID returns a fresh random ID. crypto/rand does not fail (it ends the program
// instead).
func NewID() (id ID) {
	_, _ = rand.Read(id[:])
	return id
}

// Stamp identifies the state that an answer was read from: the epoch, and the
// generations of the resources that the answer depends on, in their order. Two answers
// with equal stamps answer the same question in the same state of upstream, as far as
// writes through the gateway are concerned.
type Stamp struct {
	Epoch       ID
	Generations [maxResources]ID
}

// Admit reports whether an entry stored under the stamp entry may be served to a read
// that got the stamp read.
func Admit(entry, read Stamp) bool { return entry == read }

// lease is a write in flight. The zero writer holds one lease, which is never given
// back, for all writes beyond maxLeases.
type lease struct {
	writer ID
	until  time.Time
}

// maxLeases is the number of writes in flight with a lease of their own on one
// resource. The others share one lease, which ends with the last of them.
const maxLeases = 64

// generation is the state of one resource. It is a value: each transition returns a new
// one. The id that a transition takes is a fresh one, for the case that the generation
// needs another.
type generation struct {
	id     ID
	leases []lease
}

// due reports whether elapse would change g at now.
func (g generation) due(now time.Time) bool {
	return g.id == (ID{}) || slices.ContainsFunc(g.leases, func(l lease) bool { return !l.until.After(now) })
}

// elapse drops the leases that have run out at now. If there was one, the generation
// gets a new id (rule 5). If the resource has no generation yet, elapse makes one.
func (g generation) elapse(id ID, now time.Time) generation {
	if !g.due(now) {
		return g
	}
	next := generation{id: id}
	for _, l := range g.leases {
		if l.until.After(now) {
			next.leases = append(next.leases, l)
		}
	}
	return next
}

// begin is a write that starts at now and takes effect before until, or never: it takes
// a lease. To begin again under the same writer renews the lease and never shortens it.
// A write that can no longer take effect needs no lease: it makes a new generation.
func (g generation) begin(id, writer ID, now, until time.Time) generation {
	g = g.elapse(id, now)
	if !until.After(now) {
		g.id = id
		return g
	}
	if len(g.leases) >= maxLeases {
		writer = ID{}
	}
	next := generation{id: g.id, leases: make([]lease, 0, len(g.leases)+1)}
	for _, l := range g.leases {
		switch {
		case l.writer != writer:
			next.leases = append(next.leases, l)
		case l.until.After(until):
			until = l.until
		}
	}
	next.leases = append(next.leases, lease{writer, until})
	return next
}

// end gives the writer's lease back. There is a new generation if changed is true,
// because the write may have changed something (rule 4), and also if the lease is
// missing (rule 5).
func (g generation) end(id, writer ID, changed bool, now time.Time) generation {
	next := g.elapse(id, now)
	others := slices.DeleteFunc(slices.Clone(next.leases), func(l lease) bool { return l.writer == writer })
	if changed || len(others) == len(next.leases) {
		next.id = id
	}
	next.leases = others
	return next
}

// epoch is above all generations: a new one makes every entry unservable. Until the
// epoch settles, the state is as if a lease were alive on every resource.
type epoch struct {
	id      ID
	settles time.Time
}

// renew returns a new epoch that does not settle before until. It never shortens a
// settling under way.
func (e epoch) renew(id ID, until time.Time) epoch {
	if e.settles.After(until) {
		until = e.settles
	}
	return epoch{id: id, settles: until}
}

// settled reports whether entries may be served and stored under e at now.
func (e epoch) settled(now time.Time) bool { return !e.settles.After(now) }
