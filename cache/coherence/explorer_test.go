package coherence

import (
	"fmt"
	"slices"
	"strings"
)

// explorer visits all worlds, breadth first.
type explorer struct {
	mutation
	scope
	monitor   *monitor
	seen      map[node]bool
	nodes     []visit
	from      int32
	at        node
	steps     uint8   // taken from the node so far
	violation []uint8 // the steps that lead to it
	late      bool    // the step under way leaves a lease that ends too late
	replay    func(number uint8, next node, label string)
}

type node struct {
	world world
	known int32 // the monitor's state
}

type visit struct {
	node   node
	parent int32
	step   uint8 // the index of the step from the parent
}

func explore(m mutation, sc scope) *explorer {
	x := &explorer{mutation: m, scope: sc, monitor: newMonitor(), seen: map[node]bool{}}
	var start node
	x.seen[start] = true
	x.nodes = append(x.nodes, visit{node: start, parent: -1})
	for i := int32(0); int(i) < len(x.nodes) && x.violation == nil; i++ {
		x.from, x.at = i, x.nodes[i].node
		x.all()
	}
	return x
}

// all takes every step that is possible from the present node.
func (x *explorer) all() {
	x.steps = 0
	for w := range x.writers {
		x.write(w)
	}
	for r := range readers {
		x.read(r)
	}
	x.time()
	x.replace()
}

// trace returns the steps that lead to the violation.
func (x *explorer) trace() string {
	var text strings.Builder
	x.at = x.nodes[0].node
	for _, want := range x.violation {
		var follow node
		x.replay = func(number uint8, next node, label string) {
			if number == want {
				follow = next
				fmt.Fprintln(&text, label)
			}
		}
		x.all()
		x.at = follow
	}
	return text.String()
}

// step is one possible next event.
func (x *explorer) step(e event, change func(*world), format string, args ...any) {
	if x.violation != nil && x.replay == nil {
		return
	}
	number := x.steps
	x.steps++
	next := x.at
	x.late = false
	change(&next.world)
	if !x.noCheck {
		next.world.forget()
	}
	next.world.canonical()
	next.known = x.monitor.next(next.known, e)
	if x.late {
		next.known = -1
	}
	switch {
	case x.replay != nil:
		x.replay(number, next, fmt.Sprintf(format, args...))
	case next.known < 0:
		x.violation = []uint8{number}
		for i := x.from; i > 0; i = x.nodes[i].parent {
			x.violation = append(x.violation, x.nodes[i].step)
		}
		slices.Reverse(x.violation)
	case !x.seen[next]:
		x.seen[next] = true
		x.nodes = append(x.nodes, visit{next, x.from, number})
	}
}

func (x *explorer) begin(n *world, w, i int) {
	n.enter()
	g := x.bounded(n, i).begin(n.fresh(), writerID(w), n.clock(n.now), n.clock(leaseEnd(w)))
	if x.noLease || x.markAfter {
		g = generation{id: n.fresh()}
	}
	n.set(i, g)
}

func (x *explorer) write(w int) {
	s, at := x.at.world.w[w], &x.at.world
	stage := func(to uint8) func(*world) { return func(n *world) { n.w[w].stage = to } }
	land := func(to uint8) func(*world) { return func(n *world) { n.w[w].stage, n.value = to, uint8(w+1) } }
	switch s.stage {
	case writeIdle:
		first := uint8(writeMarking)
		if x.markAfter {
			first = writeSent
		}
		x.step(event{asked, w, 0}, stage(first), "W%d: client asks", w)
	case writeMarking:
		if int(s.marked) == len(touches[w]) {
			x.step(event{}, stage(writeSent), "W%d: goes upstream", w)
			return
		}
		i := touches[w][s.marked]
		x.step(event{}, func(n *world) { x.begin(n, w, i); n.w[w].marked++ }, "W%d: marks %d", w, i)
	case writeSent:
		x.step(event{}, land(writeLanded), "W%d: lands", w)
		if w < x.refused {
			x.step(event{}, stage(writeRefused), "W%d: upstream refuses it", w)
		}
		x.step(event{}, stage(writeLost), "W%d: no answer", w)
	case writeLost:
		x.step(event{}, land(writeOver), "W%d: lands late", w)
		x.step(event{}, stage(writeOver), "W%d: will never land", w)
		if x.endUnknown {
			x.end(w, s, at)
		}
	case writeRefused:
		if s.acked == 0 {
			x.step(event{refused, w, 0}, func(n *world) { n.w[w].acked = 1 }, "W%d: client refused", w)
		}
		x.end(w, s, at)
	case writeLanded:
		if s.acked == 0 {
			x.step(event{answered, w, 0}, func(n *world) { n.w[w].acked = 1 }, "W%d: client answered", w)
		}
		x.end(w, s, at)
	}
}

// end gives back the lease on the next of the writer's resources.
func (x *explorer) end(w int, s writing, at *world) {
	if int(s.ended) == len(touches[w]) {
		return
	}
	i := touches[w][s.ended]
	x.step(event{}, func(n *world) {
		n.w[w].ended++
		if x.markAfter {
			x.begin(n, w, i)
			return
		}
		if x.noLease {
			return
		}
		n.enter()
		changed := s.stage != writeRefused && !x.endApplied
		n.set(i, x.bounded(n, i).end(n.fresh(), writerID(w), changed, at.clock(at.now)))
	}, "W%d: gives back %d", w, i)
}

func (x *explorer) read(r int) {
	s, at, op := x.at.world.r[r], &x.at.world, writers+r
	have := func(value uint8) func(*world) {
		return func(n *world) { n.r[r] = reading{stage: readHave, value: value, reads: s.reads} }
	}
	switch s.stage {
	case readIdle:
		if s.reads < x.reads[r] {
			x.step(event{asked, op, 0}, func(n *world) { n.r[r].stage = readReading }, "R%d: client asks", r)
		}
	case readReading:
		if x.joint || x.replaced {
			x.readAtOnce(r)
			return
		}
		i := dependsOn[s.got]
		x.step(event{}, func(n *world) {
			g := x.elapse(n, i)
			x.late = slices.ContainsFunc(g.leases, func(l lease) bool { return l.until.Sub(at.clock(at.now)) > longest })
			open := len(g.leases) == 0
			n.set(i, g)
			reader := &n.r[r]
			reader.got++
			reader.stamp[i] = g.id[15]
			if !open {
				reader.closed = 1
			}
			switch {
			case int(reader.got) < len(dependsOn):
			case reader.closed == 1 && x.joinLeased:
				reader.stage, reader.got = readLooking, 0
			case reader.closed == 1 && !x.storeLeased:
				*reader = reading{stage: readPast, reads: s.reads}
			default:
				reader.stage, reader.got, reader.closed = readLooking, 0, 0
			}
		}, "R%d: reads generation %d", r, i)
	case readPast:
		x.step(event{}, have(at.value), "R%d: upstream says %d", r, at.value)
	case readLooking:
		if at.entry != (stamp{}) && s.closed == 0 && (x.noCheck || Admit(stampOf(at.entry), stampOf(s.stamp))) {
			x.step(event{}, have(at.entryValue), "R%d: hit of %d", r, at.entryValue)
		}
		for other, f := range at.r {
			if other != r && f.stage == readFetched && (x.joinAny || joinable(f.stamp, s.stamp)) {
				x.step(event{}, have(f.value), "R%d: joins the fetch of R%d", r, other)
			}
		}
		x.step(event{}, func(n *world) { n.r[r].stage, n.r[r].value = readFetched, at.value }, "R%d: miss, upstream says %d", r, at.value)
	case readFetched:
		x.step(event{}, func(n *world) {
			if s.stamp != (stamp{}) && s.closed == 0 {
				n.entryValue, n.entry = s.value, s.stamp
			}
			if x.stampAfter {
				n.entryValue, n.entry = s.value, stamp{n.things[0].id, n.things[1].id}
			}
			have(s.value)(n)
		}, "R%d: stores %d", r, s.value)
	case readHave:
		x.step(event{answered, op, s.value}, func(n *world) { n.r[r] = reading{reads: s.reads + 1} }, "R%d: client answered %d", r, s.value)
	}
}

// elapse is the first change that a read makes to a generation.
func (x *explorer) elapse(n *world, i int) generation {
	before, now := x.bounded(n, i), n.clock(n.now)
	next := before.elapse(n.fresh(), now)
	if x.endsAlone && before.id != (ID{}) {
		next.id = before.id
	}
	if x.boundAlone && n.back && before.id != (ID{}) {
		next.id = before.id
	}
	return next
}

// bounded is the first change that a script makes to a generation. If a lease ends
// later than the longest lease that begins now, the clock was set back; its end is then
// set to the end of that longest lease. The clock of a process cannot be set back, so
// only Lua does this (lua/enter.lua).
func (x *explorer) bounded(n *world, i int) generation {
	g := n.generation(i)
	if x.boundless {
		return g
	}
	bound := longest
	if x.boundShort {
		bound = 0
	}
	for k := range g.leases {
		if latest := n.clock(n.now).Add(bound); g.leases[k].until.After(latest) {
			g.leases[k].until = latest
		}
	}
	return g
}

// joinable reports whether a read with the stamp read joins the fetch of a read with
// the stamp fetch: the cache joins reads of equal stamps.
func joinable(fetch, read stamp) bool { return stampOf(fetch) == stampOf(read) }

// time lets the next lease run out, if its write can no longer take effect, and the
// leases that were bounded after the clock was set back. It also sets the clock back.
func (x *explorer) time() {
	if x.back && !x.at.world.back {
		x.step(event{}, func(n *world) { n.back = true }, "the clock is set back")
	}
	next := int(x.at.world.now)
	if next >= writers {
		if x.at.world.back && next < 2*writers {
			x.step(event{}, func(n *world) { n.now++ }, "an hour passes")
		}
		return
	}
	switch x.at.world.w[next].stage {
	case writeIdle: // it would have begun before
		x.step(event{}, func(n *world) { n.now, n.w[next].stage = n.now+1, writeOver }, "W%d never begins", next)
		return
	case writeMarking, writeSent, writeLost:
		if !x.shortLease {
			return
		}
	}
	x.step(event{}, func(n *world) { n.now++ }, "lease of W%d runs out", next)
}
