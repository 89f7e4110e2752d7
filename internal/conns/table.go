package conns

import (
	"cmp"
	"net/netip"
	"sync"
)

// table holds the open connections, and decides which one is closed if there is no room
// for another. Its lists are in the order in which connections became idle or busy: the
// first of a list has been so for the longest time. It is safe for concurrent use.
type table struct {
	limit int

	mu     sync.Mutex // guards the fields below, and the state and links of connections
	kinds  [2][2]list // by identified, busy
	groups groups
	closed bool // no connection may rest any more
	counts Counts
}

// connState is the table's data about a connection.
type connState struct {
	address    netip.Prefix // the network that it counts for; invalid: none
	open       bool
	busy       bool // a request is under way
	identified bool // a request on it was identified
	resting    bool // net/http does not hold it
	links      [lanes]link
}

func newTable(limit int) *table {
	t := &table{limit: limit, groups: groups{by: map[netip.Prefix]*group{}}}
	t.counts.Limit = limit
	return t
}

// index returns 1 for true and 0 for false.
func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// enter adds c. If there is no room, it returns a connection that the caller must
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

// note counts a connection that is closed to make room for another.
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

// victim returns the connection that is closed for c, nil if c itself must be closed.
//
// Unidentified connections are closed first. Among them, the address with the most
// connections gives one up: the one that has been idle for the longest time or, if all
// are busy, busy for the longest time. An unidentified connection has not sent anything
// to Object Store yet. If no address has more than c's own, c's address gives up one of
// its idle connections. So the connections of an attacker are closed before those of a
// client that has few. If no address has more than one, the one that has been idle for
// the longest time is closed. Identified connections are closed only while they are
// more than a quarter of the limit.
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

// change changes the state of c by f, and moves it to the end of the list for its new
// state.
func (t *table) change(c *Conn, f func(*connState)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !c.open {
		return
	}
	t.take(c)
	f(&c.connState)
	t.place(c)
	t.groups.tidy(c.address)
}

// rest records whether c rests, and reports whether it may rest.
func (t *table) rest(c *Conn, resting bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.resting = resting
	return c.open && !t.closed
}

// drop removes c if the table has it.
func (t *table) drop(c *Conn) {
	if c.open {
		t.take(c)
		t.groups.tidy(c.address)
		c.open = false
	}
}

// place puts c into the lists for its state.
func (t *table) place(c *Conn) {
	l := &t.kinds[index(c.identified)][index(c.busy)]
	l.push(c)
	if c.identified || !c.address.IsValid() {
		return
	}
	g := t.groups.of(c.address)
	g.kinds[index(c.busy)].push(c)
	t.groups.resize(g)
}

// take removes c from its lists.
func (t *table) take(c *Conn) {
	t.kinds[index(c.identified)][index(c.busy)].remove(c)
	if c.identified || !c.address.IsValid() {
		return
	}
	g := t.groups.of(c.address)
	g.kinds[index(c.busy)].remove(c)
	t.groups.resize(g)
}

// add changes the counts by f.
func (t *table) add(f func(*Counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.counts)
}

// group holds the unidentified connections of one client address (IPv6: of one /64).
type group struct {
	address       netip.Prefix
	kinds         [2]list // by busy
	size          int     // connections in both lists, when resize last ran
	before, after *group  // neighbors in the list of groups of the same size
}

// groups holds the groups that have connections, and can find a largest one. Each of
// its methods takes constant time.
type groups struct {
	by    map[netip.Prefix]*group
	sizes []*group // the first group of each size, nil if none has it
	most  int      // size of the largest group
}

// of returns the group of an address, and creates it if it does not exist.
func (s *groups) of(address netip.Prefix) *group {
	g := s.by[address]
	if g == nil {
		g = &group{address: address}
		g.kinds[0].lane, g.kinds[1].lane = laneAddress, laneAddress
		s.by[address] = g
	}
	return g
}

// size returns how many connections the group of an address has.
func (s *groups) size(address netip.Prefix) int {
	if g := s.by[address]; g != nil {
		return g.size
	}
	return 0
}

// largest returns a group with the most connections, nil if there is no group.
func (s *groups) largest() *group {
	if s.most == 0 {
		return nil
	}
	return s.sizes[s.most]
}

// resize updates the lists after g's size has changed by one.
func (s *groups) resize(g *group) {
	s.unlink(g)
	g.size = g.kinds[0].len + g.kinds[1].len
	for len(s.sizes) <= g.size {
		s.sizes = append(s.sizes, nil)
	}
	if g.size > 0 {
		if g.after = s.sizes[g.size]; g.after != nil {
			g.after.before = g
		}
		s.sizes[g.size] = g
	}
	s.most = max(s.most, g.size)
	for s.most > 0 && s.sizes[s.most] == nil {
		s.most--
	}
}

// unlink removes g from the list of groups of its size.
func (s *groups) unlink(g *group) {
	switch {
	case g.size == 0:
		return
	case g.before != nil:
		g.before.after = g.after
	default:
		s.sizes[g.size] = g.after
	}
	if g.after != nil {
		g.after.before = g.before
	}
	g.before, g.after = nil, nil
}

// tidy removes the group of an address that has no connections.
func (s *groups) tidy(address netip.Prefix) {
	if g := s.by[address]; g != nil && g.size == 0 {
		delete(s.by, address)
	}
}
