package coherence

import (
	"slices"
	"testing"
	"time"
)

// This file explores every interleaving of two writers and two readers over the
// functions of protocol.go. Each read and each mark of a resource is a step of its own,
// as in localCoherence. A monitor follows all linearizations that are still possible:
// if none is left, a client has seen values that a single copy of the value could not
// have shown. Time is modeled by its guarantee: a lease runs out at any moment after
// its write can no longer take effect, never before.
//
// The first writer is a PUT of a key (it touches only the key list), the second a
// DELETE of the partition (partition and key list); the readers list keys (they depend
// on both). Either writer may be refused by upstream, or may lose its answer; then it
// takes effect later or never.

const (
	partition = iota
	keyList
	things
)

var (
	touches   = [writers][]int{{keyList}, {partition, keyList}}
	dependsOn = []int{partition, keyList}
)

const (
	writers = 2
	readers = 2
)

// scope bounds an exploration: how many of the writers write, how many of these
// upstream may refuse, and how often each reader reads.
type scope struct {
	writers, refused int
	reads            [readers]uint8
	back             bool // the clock is set back, once
	joint            bool // reads are transactions (jointread.go); the script decides what they cannot
	replaced         bool // a server that has stopped following takes over, once
}

// mutation is a way to violate the protocol.
type mutation struct {
	noLease     bool // a write makes new generations but holds no lease
	noCheck     bool // an entry is served under any stamp
	stampAfter  bool // a fill is stored under the generations from after the fetch
	markAfter   bool // a write marks after it has taken effect
	endUnknown  bool // a lease is given back although the outcome is unknown
	endApplied  bool // a write that took effect keeps the generations
	endsAlone   bool // a lease that runs out keeps the generation
	storeLeased bool // an answer read under a lease is stored and served
	shortLease  bool // a lease may run out while its write may still take effect
	joinAny     bool // a read joins a fetch of any stamp
	joinLeased  bool // reads under a lease join each other's fetches, although they store no entry
	boundless   bool // a lease lasts until its end by a clock that has been set back
	boundAlone  bool // a lease that was bounded runs out and keeps the generation
	boundShort  bool // a lease is bounded by less than the longest there is

	// of joint reads
	idsFirst   bool // the generations are read before the leases, each at an instant of its own
	anyDue     bool // a generation of which a lease has run out is taken as it is
	anyServer  bool // the epoch is taken as it is, whichever server made it
	boundLater bool // a lease that must be bounded is taken as it is
}

func TestProtocolIsLinearizable(t *testing.T) {
	scopes := []scope{
		{writers: 1, refused: 1, reads: [readers]uint8{2, 2}}, {writers: writers, refused: 1, reads: [readers]uint8{1, 1}},
		{writers: 1, refused: 1, reads: [readers]uint8{2, 1}, back: true},
		{writers: 1, refused: 1, reads: [readers]uint8{2, 1}, joint: true, back: true},
	}
	if !raceDetector { // a single goroutine explores: the race detector finds no race and takes five times as long
		scopes = append(scopes, scope{writers: writers, reads: [readers]uint8{2, 1}},
			scope{writers: writers, refused: 1, reads: [readers]uint8{1, 1}, joint: true},
			scope{writers: 1, refused: 1, reads: [readers]uint8{2, 1}, replaced: true},
			scope{writers: 1, refused: 1, reads: [readers]uint8{2, 1}, joint: true, replaced: true},
			scope{writers: writers, reads: [readers]uint8{2, 0}, back: true})
	}
	for _, sc := range scopes {
		x := explore(mutation{}, sc)
		if x.violation != nil {
			t.Errorf("%+v: after %d states:\n%s", sc, len(x.nodes), x.trace())
		}
		if len(x.nodes) < 10_000 {
			t.Errorf("%+v: only %d states were met", sc, len(x.nodes))
		}
		t.Logf("%+v: %d states", sc, len(x.nodes))
	}
}

func TestEveryShortcutOfTheProtocolIsAViolation(t *testing.T) {
	for name, m := range map[string]mutation{
		"no lease":                          {noLease: true},
		"no check of the stamp":             {noCheck: true},
		"stamp after the fetch":             {stampAfter: true},
		"mark after the write":              {markAfter: true},
		"lease given back, outcome unknown": {endUnknown: true},
		"generations kept by a write":       {endApplied: true},
		"lease runs out alone":              {endsAlone: true},
		"read under a lease stored":         {storeLeased: true},
		"lease shorter than the write":      {shortLease: true},
		"fetch of another stamp joined":     {joinAny: true},
		"fetch joined under a lease":        {joinLeased: true},
		"lease not bounded":                 {boundless: true},
		"bounded lease runs out alone":      {boundAlone: true},
		"lease bounded by less than it is":  {boundShort: true},

		"generations before leases":        {idsFirst: true},
		"lease that ran out not regarded":  {anyDue: true},
		"server not regarded":              {anyServer: true},
		"lease to be bounded not regarded": {boundLater: true},
	} {
		t.Run(name, func(t *testing.T) {
			x := explore(m, scope{
				writers: 1, refused: 1, reads: [readers]uint8{2, 1},
				back:     m.boundless || m.boundAlone || m.boundShort || m.boundLater,
				joint:    m.idsFirst || m.anyDue || m.anyServer || m.boundLater,
				replaced: m.anyServer,
			})
			if x.violation == nil {
				t.Fatalf("%d states and no violation: the exploration does not test this rule", len(x.nodes))
			}
			t.Logf("%d states, then:\n%s", len(x.nodes), x.trace())
		})
	}
}

// The stages of a writer and of a reader.
const (
	writeIdle = iota
	writeMarking
	writeSent
	writeLost // no answer; may still take effect
	writeOver // lost, can no longer take effect
	writeLanded
	writeRefused
)

const (
	readIdle = iota
	readReading
	readPast    // sent upstream, not stored
	readLooking // generations known
	readFetched // value received, not stored
	readHave    // answer received
)

// thing is a generation in a form that can be compared: an ID's number, the writers
// with a lease, and the ends of those leases that a clock set back has moved, in hours
// of that clock.
type thing struct {
	id, leases uint8
	ends       [writers]uint8
}

type writing struct{ stage, marked, ended, acked uint8 }

// stamp contains the numbers of the generations and of the epoch.
type stamp [things + 1]uint8

// epochAt is the place of the epoch in a stamp.
const epochAt = things

type reading struct {
	stage, got, closed, value, reads uint8
	stamp                            stamp
}

// world is a complete state. Its instant is now: writer w's lease ends at w+1.
type world struct {
	value, now uint8
	back       bool // the clock has been set back
	things     [things]thing
	epoch      serverEpoch
	server     uint8 // 0, or 1 when the second server has taken over
	stopped    bool  // the second server has stopped following, with the state copied
	copied     [things]thing
	copiedFrom serverEpoch
	entryValue uint8
	entry      stamp // zero: none
	w          [writers]writing
	r          [readers]reading
}

// serverEpoch is an epoch, the server that made it, and the writers that may still take
// effect and for which it settles.
type serverEpoch struct{ id, server, settles uint8 }

// settling reports whether one of the writers for which the epoch settles may still take
// effect.
func (w *world) settling() bool {
	for n := range w.w {
		switch w.w[n].stage {
		case writeMarking, writeSent, writeLost:
			if w.epoch.settles>>n&1 == 1 {
				return true
			}
		}
	}
	return false
}

func instant(n uint8) time.Time { return time.Unix(0, 0).Add(time.Duration(n) * time.Hour) }

// setBack is the time by which the clock is set back: more than any lease.
const setBack = 1000 * time.Hour

// clock returns the reading of a clock at n hours, which may have been set back.
func (w *world) clock(n uint8) time.Time {
	if w.back {
		return instant(n).Add(-setBack)
	}
	return instant(n)
}

// longest is the longest lease there is.
const longest = writers * time.Hour

func writerID(w int) ID { return ID{0: 1, 1: byte(w)} }

func leaseEnd(w int) uint8 { return uint8(w) + 1 }

func (w *world) generation(i int) generation {
	g := generation{id: ID{15: w.things[i].id}}
	for n := range writers {
		if w.things[i].leases>>n&1 == 0 {
			continue
		}
		until := instant(leaseEnd(n))
		if ends := w.things[i].ends[n]; ends > 0 {
			until = instant(ends).Add(-setBack)
		}
		g.leases = append(g.leases, lease{writerID(n), until})
	}
	return g
}

func (w *world) set(i int, g generation) {
	w.things[i] = thing{id: g.id[15]}
	for _, l := range g.leases {
		n := l.writer[1]
		w.things[i].leases |= 1 << n
		if !l.until.Equal(instant(leaseEnd(int(n)))) {
			w.things[i].ends[n] = uint8(l.until.Add(setBack).Sub(instant(0)) / time.Hour)
		}
	}
}

// fresh returns an ID that is not used in the world.
func (w *world) fresh() ID {
	top := uint8(0)
	w.eachID(func(id *uint8) { top = max(top, *id) })
	return ID{15: top + 1}
}

func (w *world) eachID(f func(*uint8)) {
	for i := range w.things {
		f(&w.things[i].id)
		f(&w.copied[i].id)
	}
	f(&w.epoch.id)
	f(&w.copiedFrom.id)
	for i := range w.entry {
		f(&w.entry[i])
		for n := range w.r {
			f(&w.r[n].stamp[i])
		}
	}
}

// canonical numbers the IDs in the order of their first use, so that worlds that behave
// alike are equal.
func (w *world) canonical() {
	var names [256]uint8
	next := uint8(1)
	w.eachID(func(id *uint8) {
		if *id == 0 {
			return
		}
		if names[*id] == 0 {
			names[*id] = next
			next++
		}
		*id = names[*id]
	})
}

// forget removes state that can have no effect any more: stamps that no read can get
// again, and the past of a finished writer.
func (w *world) forget() {
	looking := false
	for n := range w.r {
		s := &w.r[n]
		looking = looking || s.stage == readReading || s.stage == readLooking
		if s.stage == readFetched && !w.current(s.stamp) && !w.lookedFor(s.stamp) {
			s.stamp = stamp{}
		}
	}
	if !w.current(w.entry) && !looking {
		w.entry, w.entryValue = stamp{}, 0
	}
	for n := range w.w {
		if s := &w.w[n]; (s.stage == writeLanded || s.stage == writeRefused) && s.acked == 1 && int(s.ended) == len(touches[n]) || s.stage == writeOver && int(w.now) > n {
			*s = writing{stage: writeOver}
		}
	}
}

// current reports whether a read may get the stamp, now or from a server that takes
// over.
func (w *world) current(ids stamp) bool {
	now, copied := true, w.stopped && w.copiedFrom.id == ids[epochAt]
	for i, g := range w.things {
		now, copied = now && g.id == ids[i], copied && w.copied[i].id == ids[i]
	}
	return now && w.epoch.id == ids[epochAt] || copied
}

func (w *world) lookedFor(ids stamp) bool {
	return slices.ContainsFunc(w.r[:], func(s reading) bool { return s.stage == readLooking && s.stamp == ids || s.stage == readReading })
}

func stampOf(ids stamp) (s Stamp) {
	for i, id := range ids[:things] {
		s.Generations[i] = ID{15: id}
	}
	s.Epoch = ID{15: ids[epochAt]}
	return s
}
