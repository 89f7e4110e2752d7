package coherence

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn/redistest"
)

// ride makes a round trip with a command of another package.
func ride(ctx context.Context, t *testing.T, c *Redis) {
	t.Helper()
	err := c.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		p.Get(ctx, "something")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPendingReadReturnsTheReadingOfARead(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	want := read(t, c, pair(0))
	ctx, e := c.StartRead(t.Context(), pair(0))
	ride(ctx, t, c)
	c.conn = nil // it sends no more commands
	if got, err := e.Read(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A generation that was made on one trip, then replaced and forgotten, must not be made
// again on the next: an entry that was stored under it since is older than the
// replacement.
func TestPendingReadProposesFreshGenerationsOnEachTrip(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	read(t, c, resource(1)) // Redis has the script
	ctx, e := c.StartRead(t.Context(), resource(0))
	ride(ctx, t, c)
	first, err := e.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(t, s, "*generation*") {
		s.Do("DEL", key)
	}
	ride(ctx, t, c)
	if second, err := e.Read(t.Context()); err != nil || second.Stamp == first.Stamp {
		t.Errorf("got %+v, then %+v, %v", first, second, err)
	}
}

func TestPendingReadRemembersItsEpoch(t *testing.T) {
	s := redistest.Start(t)
	read(t, gateway(t, s), resource(0)) // Redis has the script
	c := gateway(t, s)
	ctx, _ := c.StartRead(t.Context(), resource(0))
	ride(ctx, t, c)
	s.Flush()
	wantClosed(t, read(t, c, resource(0)), closedBySettling, "after a flush, to one that has met another epoch on the way")
}

func TestPendingReadFailsWhileAWriteWaitsToBeMarked(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	before := read(t, c, resource(0))

	t.Run("since the trip", func(t *testing.T) {
		ctx, e := c.StartRead(t.Context(), resource(0))
		ride(ctx, t, c)
		c.unmarked.add(resource(0), NewID(), time.Now())
		if _, err := e.Read(t.Context()); !errors.Is(err, errUnmarked) {
			t.Errorf("got %v, want %v", err, errUnmarked)
		}
	})
	t.Run("until after the trip", func(t *testing.T) {
		ctx, e := c.StartRead(t.Context(), resource(0))
		ride(ctx, t, c) // would return the generation from before the write
		c.markLate(t.Context())
		if c.unmarked.any() {
			t.Fatal("the write was not made up for")
		}
		if after, err := e.Read(t.Context()); err != nil || after.Stamp == before.Stamp {
			t.Errorf("got %+v, %v, want another generation than %+v", after, err, before)
		}
	})
}
