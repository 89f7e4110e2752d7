package coherence

import (
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
)

// aDayBack is the offset of a clock of Redis that is set back during a test.
const aDayBack = -24 * time.Hour

// passes lets time pass on a clock that has been set back. The time that the test
// itself takes does not count.
func passes(clock *redistest.Clock, d time.Duration) { clock.Set(aDayBack + d) }

// TestAClockSetBackProlongsNoLease by more than its length. A lease that runs out still
// ends its generation.
func TestAClockSetBackProlongsNoLease(t *testing.T) {
	t.Parallel()
	const lease = time.Hour
	for name, beside := range map[string]struct {
		before bool                                   // another write is marked, too
		looks  func(t *testing.T, c *Redis, other ID) // after the clock was set back
	}{
		"a read looks at it": {false, func(t *testing.T, c *Redis, _ ID) {
			t.Helper()
			wantClosed(t, read(t, c, resource(0)), closedByWrite, "under the lease")
		}},
		"another write is marked": {false, func(t *testing.T, c *Redis, other ID) {
			t.Helper()
			markFor(t, c, resource(0), other, lease)
		}},
		"another write is given back": {true, givesBack(true)},
		"another write is refused":    {true, givesBack(false)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, clock := redistest.StartWithClock(t)
			c := gateway(t, s)
			old, other := read(t, c, resource(0)), NewID()
			markFor(t, c, resource(0), NewID(), lease)
			if beside.before {
				markFor(t, c, resource(0), other, lease)
			}
			passes(clock, 0)
			beside.looks(t, c, other)
			passes(clock, lease-time.Minute)
			wantClosed(t, read(t, c, resource(0)), closedByWrite, "before the lease is over")
			passes(clock, lease+time.Second)
			now := read(t, c, resource(0))
			wantOpen(t, now, "when the lease is over")
			if now.Stamp.Generations == old.Stamp.Generations {
				t.Error("the generation has outlived the lease")
			}
		})
	}
}

// givesBack ends another write.
func givesBack(changed bool) func(t *testing.T, c *Redis, other ID) {
	return func(t *testing.T, c *Redis, other ID) {
		t.Helper()
		c.Release(resource(0), other, changed)
		c.giveBackAll(t.Context())
	}
}

func TestAClockSetBackProlongsNoRenewedLease(t *testing.T) {
	t.Parallel()
	s, clock := redistest.StartWithClock(t)
	c := gateway(t, s)
	writer := NewID()
	markFor(t, c, resource(0), writer, time.Hour)
	passes(clock, 0)
	markFor(t, c, resource(0), writer, time.Hour)
	passes(clock, time.Hour+time.Second)
	wantOpen(t, read(t, c, resource(0)), "when the renewed lease is over")
}

// TestAShortLeaseBoundsNoLongerOne: the longest lease that the slot has had is the
// bound.
func TestAShortLeaseBoundsNoLongerOne(t *testing.T) {
	t.Parallel()
	s, clock := redistest.StartWithClock(t)
	c := gateway(t, s, settlesAfter(time.Second))
	markFor(t, c, resource(0), NewID(), time.Hour)
	markFor(t, c, resource(0), NewID(), time.Second)
	passes(clock, 0)
	read(t, c, resource(0))
	passes(clock, time.Hour-time.Minute)
	wantClosed(t, read(t, c, resource(0)), closedByWrite, "before the longer lease is over")
}

func TestAClockSetBackProlongsNoSettling(t *testing.T) {
	t.Parallel()
	const settle = time.Hour
	for name, tt := range map[string]struct {
		usual time.Duration
		begin func(t *testing.T, s *redistest.Server, c *Redis)
	}{
		"of what Redis forgot": {settle, func(_ *testing.T, s *redistest.Server, _ *Redis) { s.Flush() }},
		"of writes that went unmarked": {time.Minute, func(t *testing.T, _ *redistest.Server, c *Redis) {
			t.Helper()
			if err := c.epochs(t.Context(), "settle", settle); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, clock := redistest.StartWithClock(t)
			c := gateway(t, s, settlesAfter(tt.usual))
			read(t, c, resource(0))
			tt.begin(t, s, c)
			wantClosed(t, read(t, c, resource(0)), closedBySettling, "at first")
			passes(clock, 0)
			wantClosed(t, read(t, c, resource(0)), closedBySettling, "when the clock was set back")
			passes(clock, settle-time.Minute)
			wantClosed(t, read(t, c, resource(0)), closedBySettling, "before it is over")
			passes(clock, settle+time.Second)
			wantOpen(t, read(t, c, resource(0)), "when it is over")
		})
	}
}

// TestAClockSetBackLeavesRoomForLeases in a slot that was full of leases whose
// resources are not read.
func TestAClockSetBackLeavesRoomForLeases(t *testing.T) {
	t.Parallel()
	s, clock := redistest.StartWithClock(t)
	c := gateway(t, s)
	read(t, c, resource(-1))
	leased(t, s, c, time.Now().Add(time.Minute))
	markFor(t, c, resource(0), NewID(), time.Minute) // records when the first of them runs out
	for _, now := range []time.Duration{0, time.Hour} {
		passes(clock, now)
		markFor(t, c, resource(0), NewID(), time.Minute)
	}
	if n := c.Settled(); n != 2 {
		t.Errorf("there was no room for %d leases, want 2", n)
	}
}

// TestALeaseThatASweepBoundsTakesWhatWasStoredAlong: the sweep of a full slot does not
// know the generation.
func TestALeaseThatASweepBoundsTakesWhatWasStoredAlong(t *testing.T) {
	t.Parallel()
	s, clock := redistest.StartWithClock(t)
	c := gateway(t, s)
	old := read(t, c, resource(-1))
	markFor(t, c, resource(-1), NewID(), time.Minute)
	leased(t, s, c, time.Now().Add(2*aDayBack)) // these have run out
	passes(clock, 0)
	markFor(t, c, resource(0), NewID(), time.Minute)
	passes(clock, time.Hour)
	now := read(t, c, resource(-1))
	wantOpen(t, now, "when its lease is over")
	if now.Stamp == old.Stamp || c.Settled() > 0 {
		t.Errorf("the stamp of before is back, or there was no room (%d): %+v", c.Settled(), now)
	}
}
