package coherence

import (
	"errors"
	"testing"
	"time"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// cut disconnects only c from Redis; other gateways still reach it.
func cut(t testing.TB, c *Redis) (restore func()) {
	t.Helper()
	conn := c.conn
	dead, err := redisconn.Open(redisconn.Options{URL: "redis://127.0.0.1:1/0", Timeout: redisTimeout})
	if err != nil {
		t.Fatal(err)
	}
	c.conn = dead
	return func() {
		c.conn = conn
		_ = dead.Close()
	}
}

func TestGatewayWithoutRedisGoesPastTheCacheAndMakesUpLater(t *testing.T) {
	s := redistest.Start(t)
	a, b := gateway(t, s), gateway(t, s)
	before := [5]Reading{}
	for n := range before {
		before[n] = read(t, b, resource(n))
	}
	restore := cut(t, a)
	if _, err := a.Read(t.Context(), resource(0)); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("read without Redis: got %v, want an error", err)
	}
	writers := [4]ID{NewID(), NewID(), {}, {}} // two of operations that may roll back by themselves
	for n, writer := range writers {
		markFor(t, a, resource(n), writer, time.Minute)
	}
	a.Release(resource(0), writers[0], true) // its outcome is certain, those of the others are not
	restore()
	if _, err := a.Read(t.Context(), resource(4)); !errors.Is(err, errUnmarked) {
		t.Errorf("read before the writes were made up for: got %v, want %v", err, errUnmarked)
	}
	a.markLate(t.Context())
	a.giveBackAll(t.Context())
	for _, c := range []Tracker{a, b} {
		for n, why := range []string{"", closedByWrite, closedByWrite, closedByWrite, ""} {
			r := read(t, c, resource(n))
			wantClosed(t, r, why, "after the writes were made up for")
			if changed := r.Stamp != before[n].Stamp; why == "" && changed != (n < len(writers)) {
				t.Errorf("resource %d: changed is %t", n, changed)
			}
		}
	}
	a.Release(resource(1), writers[1], true)
	a.giveBackAll(t.Context())
	wantOpen(t, read(t, b, resource(1)), "after the release of a write that was made up for")
}

func TestWriteThatEndsWhileItIsMadeUpForIsReleased(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	read(t, c, resource(0))
	restore := cut(t, c)
	writer := NewID()
	markFor(t, c, resource(0), writer, time.Minute)
	restore()
	writes, _ := c.unmarked.snapshot()
	c.Release(resource(0), writer, true)
	c.markLateBatch(t.Context(), writes)
	c.giveBackAll(t.Context())
	wantOpen(t, read(t, c, resource(0)), "after the write")
}

func TestLeaseOfBeforeAnOutageIsGivenBackAfterIt(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	writer := NewID()
	markFor(t, c, resource(0), writer, time.Minute)
	restore := cut(t, c)
	markFor(t, c, resource(0), writer, time.Minute) // renewed without success
	c.Release(resource(0), writer, true)
	restore()
	c.markLate(t.Context())
	c.giveBackAll(t.Context())
	wantOpen(t, read(t, c, resource(0)), "after the write")
}

func TestFailedRenewalKeepsTheLease(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	read(t, c, resource(0)) // a new Redis does not settle, if not strict
	c.options.Strict = true
	writer := NewID()
	markFor(t, c, resource(0), writer, time.Minute)
	restore := cut(t, c)
	if err := c.Mark(t.Context(), resource(0), writer, time.Minute); err == nil {
		t.Error("renewed without Redis")
	}
	restore()
	c.giveBackAll(t.Context())
	wantClosed(t, read(t, c, resource(0)), closedByWrite, "after a renewal that failed")
}

func TestStrictGatewayRefusesWhatItCannotMark(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s, strict)
	restore := cut(t, c)
	if err := c.Mark(t.Context(), resource(0), NewID(), time.Minute); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("got %v, want an error", err)
	}
	restore()
	if c.unmarked.any() {
		t.Error("a refused write is remembered")
	}
}

// flood adds more unmarked writes than are remembered separately.
func flood(c *Redis, until time.Time) {
	for n := range unmarkedWrites + 10 {
		c.unmarked.add(resource(n), NewID(), until)
	}
}

func TestFloodOfUnmarkedWritesSettlesEverything(t *testing.T) {
	s := redistest.Start(t)
	a, b := gateway(t, s), gateway(t, s)
	before := read(t, b, resource(-1))
	flood(a, time.Now())
	if n := len(a.unmarked.writes); n > unmarkedWrites {
		t.Errorf("%d writes are remembered", n)
	}
	a.markLate(t.Context())
	if a.unmarked.any() {
		t.Error("not made up for")
	}
	for _, c := range []Tracker{a, b} {
		r := read(t, c, resource(-1))
		wantClosed(t, r, closedBySettling, "after a flood")
		if r.Stamp.Epoch == before.Stamp.Epoch {
			t.Error("the epoch is the one of before")
		}
	}
}

func TestFloodSettlesUntilTheLastOfItsWrites(t *testing.T) {
	minute := time.Now().Add(time.Minute)
	for name, add := range map[string]func(c *Redis){
		"one of the remembered": func(c *Redis) {
			c.unmarked.add(resource(-2), NewID(), minute)
			flood(c, time.Now())
		},
		"one of the others": func(c *Redis) {
			flood(c, time.Now())
			c.unmarked.add(resource(-2), NewID(), minute)
			c.unmarked.add(resource(-3), NewID(), time.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := gateway(t, redistest.Start(t), settlesAfter(time.Microsecond))
			read(t, c, resource(-1))
			add(c)
			c.markLate(t.Context())
			wantClosed(t, read(t, c, resource(-1)), closedBySettling, "after a flood")
		})
	}
}

func TestFloodGivesBackWhatIsOver(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	writer := NewID()
	markFor(t, c, resource(-1), writer, time.Minute)
	c.unmarked.add(resource(-1), writer, time.Now().Add(time.Minute)) // renewed without success
	c.Release(resource(-1), writer, true)
	flood(c, time.Now())
	c.markLate(t.Context())
	c.giveBackAll(t.Context())
	hash := resource(-1).list[0].Hash
	if held, err := client(t, s).HExists(t.Context(), c.slots[0].key, "l"+string(hash[:])).Result(); held || err != nil {
		t.Errorf("held is %t (%v) after the write", held, err)
	}
}

func TestWriteRenewedDuringARepairIsRepairedAgain(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	writer, soon := NewID(), time.Now().Add(time.Minute)
	c.unmarked.add(resource(0), writer, soon)
	writes, _ := c.unmarked.snapshot()
	c.unmarked.add(resource(0), writer, soon.Add(time.Minute)) // its lease is renewed
	c.markLateBatch(t.Context(), writes)
	if !c.unmarked.any() {
		t.Error("a renewed write is forgotten")
	}
	c.markLate(t.Context())
	if c.unmarked.any() {
		t.Error("a renewed write is not made up for")
	}
	for _, until := range []time.Time{soon, soon.Add(-time.Second)} {
		flood(c, soon)
		writes, first := c.unmarked.snapshot()
		c.unmarked.add(resource(unmarkedWrites), NewID(), until) // one more
		c.settle(t.Context(), writes, first)
		if !c.unmarked.any() {
			t.Error("a flood that grew is forgotten")
		}
		c.markLate(t.Context())
		if c.unmarked.any() {
			t.Error("a flood that grew is not made up for")
		}
	}
}

func TestFailedMakingUpIsTriedAgain(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	restore := cut(t, c)
	for n := range 100 {
		markFor(t, c, resource(n), NewID(), time.Minute)
	}
	c.markLate(t.Context())
	if !c.unmarked.any() {
		t.Error("forgotten although it failed")
	}
	restore()
	c.markLate(t.Context())
	if c.unmarked.any() {
		t.Error("not made up for")
	}
	wantClosed(t, read(t, c, resource(99)), closedByWrite, "the last of many")
}
