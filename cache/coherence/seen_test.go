package coherence

import (
	"testing"

	"osgate/internal/redisconn/redistest"
)

// TestTheFirstReadOfAKeyIsOneRoundTrip: the read that makes the generations is sent along
// with the quota and needs no other. The next one is a transaction.
func TestTheFirstReadOfAKeyIsOneRoundTrip(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	read(t, c, resource(1)) // Redis has the script
	rideScript(t.Context(), t, c)
	conn := c.conn
	for i, want := range []int{0, 1} {
		s.Do("CONFIG", "RESETSTAT")
		ctx, e := c.StartRead(t.Context(), resource(0))
		rideScript(ctx, t, c)
		c.conn = nil // it sends no more commands
		if _, err := e.Read(t.Context()); err != nil {
			t.Errorf("read %d: %v", i, err)
		}
		c.conn = conn
		if n := commands(t, s, "exec"); n != want {
			t.Errorf("read %d: %d transactions, want %d", i, n, want)
		}
	}
}

// TestAForgottenGenerationCostsOneTransaction: the script follows the transaction that
// found none, and no second transaction.
func TestAForgottenGenerationCostsOneTransaction(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	before := read(t, c, resource(0))
	for _, key := range keysOf(t, s, "*generation*") {
		s.Do("DEL", key)
	}
	rideScript(t.Context(), t, c)
	s.Do("CONFIG", "RESETSTAT")
	ctx, e := c.StartRead(t.Context(), resource(0))
	rideScript(ctx, t, c)
	if got, err := e.Read(t.Context()); err != nil || got.Stamp == before.Stamp {
		t.Errorf("got %+v, %v, want another generation than %+v", got, err, before)
	}
	if n := commands(t, s, "exec"); n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
}

func TestSeenResourcesAreThoseOfTheLatestReadings(t *testing.T) {
	s := new(seenResources)
	first, both := resource(0), pair(0)
	if s.all(&first) {
		t.Error("nothing was read, and a resource counts as seen")
	}
	s.add(&first)
	if !s.all(&first) || s.all(&both) {
		t.Errorf("after the first: %t, and with another resource: %t", s.all(&first), s.all(&both))
	}
	s.add(&both)
	s.drop(&first)
	if s.all(&first) || s.all(&both) {
		t.Error("a dropped resource counts as seen")
	}
}
