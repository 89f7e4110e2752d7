package conns

import (
	"cmp"
	"net/netip"
	"sync"
)

// table holds the connections that are open, and decides which one is closed when there
// is no room for another. Its lists are in the order in which connections became idle
// or busy, so that the first of a list has been so for longest. It is safe for
// concurrent use.
type table struct {
	limit int

	mu     sync.Mutex // guards all below, and the standing and links of connections
	kinds  [2][2]list // by identified, busy
	groups groups
	closed bool // no connection rests any more
	counts Counts
}

// standing is what a table knows of a connection.
type standing struct {
	address    netip.Prefix // invalid: it counts for no address
	open       bool
	busy       bool // a request is under way
	identified bool // a request on it was identified
	resting    bool // no server has it
	links      [lanes]link
}

func newTable(limit int) *table {
	t := &table{limit: limit, groups: groups{by: map[netip.Prefix]*group{}}}
	t.counts.Limit = limit
	return t
}

// index is 1 for true.
func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// enter takes c in. Where there is no room it returns a connection that the caller must
// close: another one, or c itself.
func (t *table) enter(c *Conn) (closed *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open() >= t.limit {
		if closed = t.victim(c); closed == nil {
			t.counts.Refused++
			return c
		}
		t.note(closed)
		t.drop(closed)
	}
	c.open = true
	t.place(c)
	return closed
}

// note counts a connection that is closed for another.
func (t *table) note(c *Conn) {
	if c.busy {
		t.counts.ClosedBusy++
	} else {
		t.counts.ClosedIdle++
	}
}

// open returns how many connections there are.
func (t *table) open() int {
	return t.kinds[0][0].len + t.kinds[0][1].len + t.kinds[1][0].len + t.kinds[1][1].len
}

// victim returns the connection that is closed for c, nil where c itself must go.
//
// Unidentified connections go first. Of them the address that has the most makes room:
// its connection that has been idle for longest or, where all are busy, busy for longest.
// What is unidentified has sent nothing to Object Store yet. An address that has as many
// as any other makes room for its own connections among those that are idle. So the
// connections of an attacker end before those of a client that has few. Where no address
// has more than one, the one idle for longest goes. Identified connections go only while
// they have more than a quarter.
func (t *table) victim(c *Conn) *Conn {
	own := t.groups.size(c.address)
	if g := t.groups.largest(); g != nil && g.size > own+1 {
		return cmp.Or(g.kinds[0].first, g.kinds[1].first)
	}
	if own > 1 {
		return t.groups.of(c.address).kinds[0].first
	}
	if idle := t.kinds[0][0].first; idle != nil {
		return idle
	}
	if identified := t.kinds[1][0].len + t.kinds[1][1].len; identified > t.limit/4 {
		return t.kinds[1][0].first
	}
	return nil
}

// oldest takes out, counts and returns the connection that has been idle for longest,
// an unidentified one where there is one; nil where none is idle.
func (t *table) oldest() *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for identified := range t.kinds {
		if c := t.kinds[identified][0].first; c != nil {
			t.note(c)
			t.drop(c)
			return c
		}
	}
	return nil
}

// change gives c another standing by f, and its place at the end of the list for it.
func (t *table) change(c *Conn, f func(*standing)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !c.open {
		return
	}
	t.take(c)
	f(&c.standing)
	t.place(c)
	t.groups.tidy(c.address)
}

// rest notes whether c rests, and reports whether it may.
func (t *table) rest(c *Conn, resting bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.resting = resting
	return c.open && !t.closed
}

// wake closes the connections that rest.
func (t *table) wake() {
	for _, c := range t.resting() {
		_ = c.Conn.Close() // what waits for it closes the rest
	}
}

// resting returns the connections that rest, for the last time.
func (t *table) resting() (all []*Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for identified := range t.kinds {
		for c := t.kinds[identified][0].first; c != nil; c = c.links[laneAll].after {
			if c.resting {
				all = append(all, c)
			}
		}
	}
	return all
}

// leave takes c out, which is closed, if it is still there.
func (t *table) leave(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(c)
}

// drop takes c out if it is there.
func (t *table) drop(c *Conn) {
	if c.open {
		t.take(c)
		t.groups.tidy(c.address)
		c.open = false
	}
}

// place puts c into the lists for its standing.
func (t *table) place(c *Conn) {
	l := &t.kinds[index(c.identified)][index(c.busy)]
	l.push(c)
	if c.identified || !c.address.IsValid() {
		return
	}
	g := t.groups.of(c.address)
	g.kinds[index(c.busy)].push(c)
	t.groups.weigh(g)
}

// take takes c out of its lists.
func (t *table) take(c *Conn) {
	t.kinds[index(c.identified)][index(c.busy)].remove(c)
	if c.identified || !c.address.IsValid() {
		return
	}
	g := t.groups.of(c.address)
	g.kinds[index(c.busy)].remove(c)
	t.groups.weigh(g)
}

// add changes the counts by f.
func (t *table) add(f func(*Counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.counts)
}

// count returns the counts so far.
func (t *table) count() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.counts
	n.Idle = t.kinds[0][0].len + t.kinds[1][0].len
	n.Busy = t.open() - n.Idle
	return n
}
