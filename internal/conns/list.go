package conns

// list holds connections in the order in which they were added. A connection is in at
// most one list of a lane. The zero list is empty.
type list struct {
	lane        lane
	first, last *Conn
	len         int
}

// lane is one of the lists that a connection can be in at the same time.
type lane uint8

const (
	laneAll     lane = iota // the list of all connections of its kind
	laneAddress             // the list of the connections of its client address
	lanes
)

// link is a connection's position in the list of a lane.
type link struct{ before, after *Conn }

// push appends c.
func (l *list) push(c *Conn) {
	c.links[l.lane] = link{before: l.last}
	if l.last != nil {
		l.last.links[l.lane].after = c
	} else {
		l.first = c
	}
	l.last = c
	l.len++
}

// remove removes c, which must be in l.
func (l *list) remove(c *Conn) {
	at := c.links[l.lane]
	if at.before != nil {
		at.before.links[l.lane].after = at.after
	} else {
		l.first = at.after
	}
	if at.after != nil {
		at.after.links[l.lane].before = at.before
	} else {
		l.last = at.before
	}
	c.links[l.lane] = link{}
	l.len--
}
