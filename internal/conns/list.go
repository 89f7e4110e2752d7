package conns

// list is connections in the order in which they came into it. A connection is in one
// list of a lane at most. The zero list is empty.
type list struct {
	lane        lane
	first, last *Conn
	len         int
}

// lane is one of the lists that a connection can be in at the same time.
type lane uint8

const (
	laneAll     lane = iota // with all connections of its kind
	laneAddress             // with those of its client address
	lanes
)

// link is a connection's place in the list of a lane.
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

// remove takes c out, which is in l.
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
