package conns

import (
	"net/netip"
	"testing"
)

// crowded is a table that the tests fill, with its connections by name.
type crowded struct {
	t *testing.T
	*table
	by map[string]*Conn
}

func newCrowded(t *testing.T, limit int) *crowded {
	t.Helper()
	return &crowded{t: t, table: newTable(limit), by: map[string]*Conn{}}
}

// comes adds a connection of the network 192.0.2.<host>/32, host 0 for none, and checks
// that the named one is closed for it.
func (c *crowded) comes(name string, host byte, closed string) {
	c.t.Helper()
	conn := &Conn{table: c.table}
	if host != 0 {
		conn.address = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 32)
	}
	c.by[name] = conn
	victim := c.enter(conn)
	for other, conn := range c.by {
		if (conn == victim) != (other == closed) {
			c.t.Errorf("for %s the table closes %s: %t", name, other, conn == victim)
		}
	}
}

func (c *crowded) busy(name string, busy bool) {
	c.change(c.by[name], func(s *connState) { s.busy = busy })
}

func (c *crowded) identified(name string) {
	c.change(c.by[name], func(s *connState) { s.identified = true })
}

// TestTheConnectionIdleForLongestGoesFirst, whether it ever had a request or not.
func TestTheConnectionIdleForLongestGoesFirst(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 4)
	c.comes("a", 1, "")
	c.comes("b", 2, "")
	c.comes("c", 3, "")
	c.comes("d", 4, "")
	c.busy("a", true)
	c.busy("c", true)
	c.busy("a", false) // idle since now
	c.comes("e", 5, "b")
	c.comes("f", 6, "d")
	c.comes("g", 7, "a")
}

// TestANewConnectionIsRefusedWhereNoneIsIdle and no connection may be closed.
func TestANewConnectionIsRefusedWhereNoneIsIdle(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 2)
	c.comes("a", 1, "")
	c.comes("b", 2, "")
	c.busy("a", true)
	c.busy("b", true)
	c.comes("c", 3, "c")
	c.leave(c.by["a"])
	c.comes("d", 4, "")
	if n, want := c.count(), (Counts{Limit: 2, Idle: 1, Busy: 1, Refused: 1}); n != want {
		t.Errorf("counts %+v, want %+v", n, want)
	}
}

// TestIdentifiedClientsKeepTheirConnections while there are others, and a quarter of
// the limit in any case.
func TestIdentifiedClientsKeepTheirConnections(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 8)
	for name, host := range map[string]byte{"1": 1, "2": 2, "3": 3} {
		c.comes(name, host, "")
	}
	c.identified("1")
	c.identified("2")
	c.identified("3")
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		c.comes(name, byte(10+i), "")
	}
	c.comes("f", 20, "a") // although "1" has been idle for longer
	for _, name := range []string{"b", "c", "d", "e", "f"} {
		c.busy(name, true)
	}
	c.comes("g", 21, "1")
	c.busy("g", true)
	c.comes("h", 22, "h") // a quarter is kept
}

// TestOneAddressCannotTakeAllConnections: it makes room among its own idle connections,
// and for other addresses among its busy ones too.
func TestOneAddressCannotTakeAllConnections(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 4)
	c.comes("other", 9, "")
	c.comes("a", 1, "")
	c.comes("b", 1, "")
	c.comes("c", 1, "")
	c.comes("d", 1, "a") // although "other" has been idle for longer
	for _, name := range []string{"b", "c", "d", "other"} {
		c.busy(name, true)
	}
	c.comes("e", 1, "e")
	c.comes("second", 8, "b")
	c.busy("second", true)
	c.comes("third", 7, "c")
	c.busy("third", true)
	c.comes("fourth", 6, "fourth") // each has one now
	if n := c.count(); n.ClosedIdle != 1 || n.ClosedBusy != 2 || n.Refused != 2 {
		t.Errorf("counts %+v, want 1 closed idle, 2 busy, 2 refused", n)
	}
}

// TestTheAddressWithTheMostMakesRoom for the others, also if those have few
// connections, and for any distribution of its requests over its connections.
func TestTheAddressWithTheMostMakesRoom(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 6)
	c.comes("client", 9, "") // new, and idle before its first request
	for _, name := range []string{"a1", "a2", "a3"} {
		c.comes(name, 1, "")
		c.busy(name, true)
	}
	c.comes("b1", 2, "")
	c.busy("b1", true)
	c.comes("b2", 2, "")
	c.comes("a4", 1, "a4")        // its address has the most, and none of them is idle
	c.comes("second", 8, "a1")    // although "client" has been idle for longer
	c.comes("b3", 2, "b2")        // its address has as many as any other
	c.comes("third", 7, "b3")     // an idle one of the two addresses with the most
	c.comes("fourth", 6, "a2")    // and now the other's
	c.comes("fifth", 5, "client") // each has one now: the oldest idle one
}

// TestAnAddressCountsWhatIsUnidentifiedOnly, and exempt connections count for no
// address.
func TestAnAddressCountsWhatIsUnidentifiedOnly(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 4)
	for i, name := range []string{"a", "b", "c", "d"} {
		c.comes(name, 1, "")
		c.busy(name, true)
		if i < 3 {
			c.identified(name)
		}
	}
	c.comes("other", 2, "other")
	exempt := newCrowded(t, 4)
	for _, name := range []string{"a", "b", "c", "d"} {
		exempt.comes(name, 0, "")
		exempt.busy(name, true)
	}
	exempt.comes("other", 2, "other")
}

// TestNothingIsKeptOfConnectionsThatEnded.
func TestNothingIsKeptOfConnectionsThatEnded(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 10)
	for i, name := range []string{"a", "b", "c", "d", "e", "f"} {
		c.comes(name, byte(1+i%2), "")
	}
	c.busy("a", true)
	c.identified("b")
	for _, conn := range c.by {
		c.leave(conn)
		c.leave(conn)
		c.change(conn, func(s *connState) { s.busy = true })
	}
	if c.open() != 0 || len(c.groups.by) != 0 || c.groups.largest() != nil {
		t.Errorf("%d connections, %d addresses, largest %v, want nothing", c.open(), len(c.groups.by), c.groups.largest())
	}
}
