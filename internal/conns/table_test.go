package conns

import (
	"net/netip"
	"testing"
)

// crowded is a table that the tests fill, and its connections by name.
type crowded struct {
	t *testing.T
	*table
	by map[string]*Conn
}

func newCrowded(t *testing.T, limit int) *crowded {
	t.Helper()
	return &crowded{t: t, table: newTable(limit), by: map[string]*Conn{}}
}

// comes takes in a connection of the network 192.0.2.<host>/32, host 0 for none, and
// wants the named one closed for it.
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
	c.change(c.by[name], func(s *standing) { s.busy = busy })
}

func (c *crowded) identified(name string) {
	c.change(c.by[name], func(s *standing) { s.identified = true })
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

// TestANewConnectionIsRefusedWhereNoneIsIdle and nothing may be cut off.
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
// all in any case.
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
	c.comes("f", 20, "a") // though "1" has been idle for longer
	for _, name := range []string{"b", "c", "d", "e", "f"} {
		c.busy(name, true)
	}
	c.comes("g", 21, "1")
	c.busy("g", true)
	c.comes("h", 22, "h") // a quarter is kept
}

// TestOneAddressCannotTakeAllConnections: it makes room among its own, and for others
// also with connections that are busy.
func TestOneAddressCannotTakeAllConnections(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 4)
	c.comes("other", 9, "")
	c.comes("a", 1, "")
	c.comes("b", 1, "")
	c.comes("c", 1, "")
	c.comes("d", 1, "a") // though "other" has been idle for longer
	for _, name := range []string{"b", "c", "d", "other"} {
		c.busy(name, true)
	}
	c.comes("e", 1, "e")
	c.comes("second", 8, "b")
	c.busy("second", true)
	c.comes("third", 7, "third") // it has no more than half now
	if n := c.count(); n.ClosedIdle != 1 || n.ClosedBusy != 1 || n.Refused != 2 {
		t.Errorf("counts %+v, want 1 closed idle, 1 busy, 2 refused", n)
	}
}

// TestAnAddressCountsWhatIsUnidentifiedOnly, and those exempt count for none.
func TestAnAddressCountsWhatIsUnidentifiedOnly(t *testing.T) {
	t.Parallel()
	c := newCrowded(t, 4)
	for i, name := range []string{"a", "b", "c", "d"} {
		c.comes(name, 1, "")
		c.busy(name, true)
		if i < 2 {
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
		c.change(conn, func(s *standing) { s.busy = true })
	}
	if c.open() != 0 || len(c.groups) != 0 || c.crowd != nil {
		t.Errorf("%d connections, %d addresses, crowd %v, want nothing", c.open(), len(c.groups), c.crowd)
	}
}
