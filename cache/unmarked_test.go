package cache

import (
	"errors"
	"testing"
	"time"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// cut takes c from Redis: a gateway alone, while others have it.
func cut(t testing.TB, c *RedisCoherence) (restore func()) {
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
	before := [4]Reading{}
	for n := range before {
		before[n] = read(t, b, resource(n))
	}
	restore := cut(t, a)
	if _, err := a.Read(t.Context(), resource(0)); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("read without Redis: got %v, want an error", err)
	}
	writers := [3]ID{newID(), newID(), {}}
	for n, writer := range writers {
		markFor(t, a, resource(n), writer, time.Minute)
	}
	a.Release(resource(0), writers[0]) // its outcome is certain, those of the others are not
	restore()
	if _, err := a.Read(t.Context(), resource(3)); !errors.Is(err, errUntouched) {
		t.Errorf("read before the writes were made up for: got %v, want %v", err, errUntouched)
	}
	a.touch(t.Context())
	for _, c := range []Coherence{a, b} {
		for n, why := range []string{"", closedByWrite, closedByWrite, ""} {
			r := read(t, c, resource(n))
			wantClosed(t, r, why, "after the writes were made up for")
			if changed := r.Stamp != before[n].Stamp; changed != (n < len(writers)) {
				t.Errorf("resource %d: changed is %t", n, changed)
			}
		}
	}
	a.Release(resource(1), writers[1])
	a.giveBackAll(t.Context())
	wantOpen(t, read(t, b, resource(1)), "after the release of a write that was made up for")
}

func TestWriteThatEndsWhileItIsMadeUpForIsReleased(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	read(t, c, resource(0))
	restore := cut(t, c)
	writer := newID()
	markFor(t, c, resource(0), writer, time.Minute)
	restore()
	writes, _ := c.unmarked.snapshot()
	c.Release(resource(0), writer)
	c.touchBatch(t.Context(), writes)
	c.giveBackAll(t.Context())
	wantOpen(t, read(t, c, resource(0)), "after the write")
}

func TestStrictGatewayRefusesWhatItCannotMark(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s, strict)
	restore := cut(t, c)
	if err := c.Mark(t.Context(), resource(0), newID(), time.Minute); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("got %v, want an error", err)
	}
	restore()
	if c.unmarked.any() {
		t.Error("a refused write is remembered")
	}
}

func TestFloodOfUnmarkedWritesSettlesEverything(t *testing.T) {
	s := redistest.Start(t)
	a, b := gateway(t, s), gateway(t, s)
	before := read(t, b, resource(-1))
	restore := cut(t, a)
	for n := range unmarkedWrites + 10 {
		a.unmarked.add(resource(n), newID(), time.Now().Add(time.Minute))
	}
	if n := len(a.unmarked.writes); n > unmarkedWrites {
		t.Errorf("%d writes are remembered", n)
	}
	restore()
	a.touch(t.Context())
	if a.unmarked.any() {
		t.Error("not made up for")
	}
	for _, c := range []Coherence{a, b} {
		r := read(t, c, resource(-1))
		wantClosed(t, r, closedBySettling, "after a flood")
		if r.Stamp.Epoch == before.Stamp.Epoch {
			t.Error("the epoch is the one of before")
		}
	}
}

func TestFailedMakingUpIsTriedAgain(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	restore := cut(t, c)
	for n := range 100 {
		markFor(t, c, resource(n), newID(), time.Minute)
	}
	c.touch(t.Context())
	if !c.unmarked.any() {
		t.Error("forgotten although it failed")
	}
	restore()
	c.touch(t.Context())
	if c.unmarked.any() {
		t.Error("not made up for")
	}
	wantClosed(t, read(t, c, resource(99)), closedByWrite, "the last of many")
}
