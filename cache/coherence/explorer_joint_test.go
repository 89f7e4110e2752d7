package coherence

// This file contains the steps of the explorer for reads that Redis makes at once, in a
// script or in a transaction (jointread.go), and for a server that takes over.

// readAtOnce reads all resources at an instant. In a joint read, the transaction decides
// if it can. The script that follows otherwise is a step like any other script, because
// the transaction has changed nothing.
func (x *explorer) readAtOnce(r int) {
	s, at := x.at.world.r[r], &x.at.world
	switch {
	case x.joint && x.idsFirst && (s.got > 0 || x.decides(at)):
		x.readApart(r)
	case x.joint && x.decides(at):
		x.step(event{}, func(n *world) {
			x.takeIDs(n, r)
			x.takeLeases(n, r)
			x.look(n, r)
		}, "R%d: reads all generations", r)
	default:
		x.step(event{}, func(n *world) {
			n.enter()
			for _, i := range dependsOn {
				n.set(i, x.elapse(n, i))
			}
			x.takeIDs(n, r)
			x.takeLeases(n, r)
			x.look(n, r)
		}, "R%d: reads all generations by script", r)
	}
}

// readApart reads the generations and the leases at two instants: a mutation.
func (x *explorer) readApart(r int) {
	if x.at.world.r[r].got == 0 {
		x.step(event{}, func(n *world) {
			x.takeIDs(n, r)
			n.r[r].got = 1
		}, "R%d: reads ids", r)
		return
	}
	x.step(event{}, func(n *world) {
		x.takeLeases(n, r)
		x.look(n, r)
	}, "R%d: reads leases", r)
}

func (x *explorer) takeIDs(n *world, r int) {
	for _, i := range dependsOn {
		n.r[r].stamp[i] = n.things[i].id
	}
	n.r[r].stamp[epochAt] = n.epoch.id
}

func (x *explorer) takeLeases(n *world, r int) {
	now := n.clock(n.now)
	if n.settling() {
		n.r[r].closed = 1
	}
	for _, i := range dependsOn {
		for _, l := range n.generation(i).leases {
			if l.until.After(now) {
				n.r[r].closed = 1
			}
			x.late = x.late || l.until.Sub(now) > longest
		}
	}
}

// look ends the reading of generations.
func (x *explorer) look(n *world, r int) {
	reader := &n.r[r]
	if reader.closed == 1 {
		*reader = reading{stage: readPast, reads: reader.reads}
		return
	}
	reader.stage, reader.got = readLooking, 0
}

// decides reports whether a transaction decides a read (slotRead.take).
func (x *explorer) decides(n *world) bool {
	if n.epoch.server != n.server && !x.anyServer {
		return false
	}
	now := n.clock(n.now)
	for _, i := range dependsOn {
		g := n.generation(i)
		if g.id == (ID{}) || g.due(now) && !x.anyDue {
			return false
		}
		for _, l := range g.leases {
			if l.until.Sub(now) > longest && !x.boundLater {
				return false
			}
		}
	}
	return true
}

// enter makes a new epoch if another server made the present one (lua/enter.lua). It
// settles for the writers that have begun.
func (w *world) enter() {
	if w.epoch.server == w.server {
		return
	}
	w.epoch = serverEpoch{id: w.fresh()[15], server: w.server}
	for n := range w.w {
		switch w.w[n].stage {
		case writeMarking, writeSent, writeLost:
			w.epoch.settles |= 1 << n
		}
	}
}

// replace lets the second server stop following, and take over.
func (x *explorer) replace() {
	switch at := &x.at.world; {
	case !x.replaced || at.server == 1:
	case !at.stopped:
		x.step(event{}, func(n *world) {
			n.stopped, n.copied, n.copiedFrom = true, n.things, n.epoch
		}, "the second server stops following")
	default:
		x.step(event{}, func(n *world) {
			n.things, n.epoch, n.server = n.copied, n.copiedFrom, 1
			n.stopped, n.copied, n.copiedFrom = false, [things]thing{}, serverEpoch{}
		}, "the second server takes over")
	}
}
