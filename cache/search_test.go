package cache_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// carrier is a request that takes from a quota in the Redis that stores the
// generations.
type carrier struct {
	testing.TB
	server *redistest.Server
	wire   *redistest.Wire
	conn   *redisconn.Conn
	cache  *cache.Cache
	script *redis.Script
}

// newCarrier returns a carrier whose scripts Redis knows.
func newCarrier(t testing.TB) *carrier {
	t.Helper()
	c := &carrier{TB: t, server: redistest.Start(t), script: redis.NewScript(`return redis.call("INCR", KEYS[1])`)}
	c.wire = redistest.NewWire(t, c.server)
	conn, err := redisconn.Open(redisconn.Options{URL: c.wire.URL(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	coherence, err := coherence.NewRedis(conn, coherence.RedisOptions{Settle: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c.conn, c.cache = conn, newCache(t, func(o *cache.Options) { o.Coherence = coherence })
	if err := c.pay(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.cache.Look(t.Context(), ask(t, "GET", storesPath), time.Now())
	return c
}

func (c *carrier) pay(ctx context.Context) error {
	return c.script.Run(ctx, c.conn.Scripter(), []string{"quota"}).Err()
}

// trips returns the number of round trips of do.
func (c *carrier) trips(do func()) int {
	before := c.wire.Trips()
	do()
	return c.wire.Trips() - before
}

// wantTrips compares trips with the number that do should make.
func (c *carrier) wantTrips(want int, what string, do func()) {
	c.Helper()
	if got := c.trips(do); got != want {
		c.Errorf("%s: %d round trips, want %d", what, got, want)
	}
}

func TestReadWaitsForRedisOnce(t *testing.T) {
	c := newCarrier(t)
	q := ask(t, "GET", keyPath)
	read := func() (result cache.Result) {
		now := time.Now()
		s := c.cache.Prepare(q)
		if err := c.pay(s.WithRead(t.Context())); err != nil {
			t.Error(err)
		}
		result = s.Look(t.Context(), now)
		if result.Fill != nil {
			receive(c.cache, q, result, answer{200, nil, "v"}, now)
		}
		return result
	}
	c.wantTrips(1, "a miss", func() {
		if r := read(); r.Fill == nil || r.Status.String() != "osgate; fwd=miss" {
			t.Errorf("got %s, want a miss that may be stored", r.Status)
		}
	})
	c.wantTrips(1, "a hit", func() {
		if r := read(); r.Entry == nil {
			t.Errorf("got %s, want a hit", r.Status)
		}
	})
	c.wantTrips(2, "apart", func() {
		_ = c.pay(t.Context())
		wantHit(t, c.cache, q)
	})
}

func TestSearchAsksByItselfWhereNothingTraveled(t *testing.T) {
	c := newCarrier(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c.cache, q, 200, nil, "v")
	s := c.cache.Prepare(q)
	ctx := s.WithRead(t.Context())
	c.wantTrips(1, "no quota was asked for", func() {
		if r := s.Look(t.Context(), time.Now()); r.Entry == nil {
			t.Errorf("got %s, want a hit", r.Status)
		}
	})
	if err := c.pay(ctx); err != nil {
		t.Fatal(err)
	}
	mark(t, c.cache, ask(t, "PUT", keyPath))
	c.wantTrips(1, "looked again", func() {
		if r := s.Look(t.Context(), time.Now()); r.Status.String() != writeInFlight {
			t.Errorf("got %s, want %s", r.Status, writeInFlight)
		}
	})
}

func TestRequestsPastTheCacheCarryNoRead(t *testing.T) {
	c := newCarrier(t)
	off := newCache(t, func(o *cache.Options) {
		o.KeyTTL, o.Coherence = 0, onRedis(t, c.server, coherence.RedisOptions{Settle: time.Minute})
	})
	for name, s := range map[string]*cache.Search{
		"a write":         c.cache.Prepare(ask(t, "PUT", keyPath)),
		"a confirmable":   c.cache.Prepare(ask(t, "GET", keyPath+"?confirmable=true")),
		"no-store":        c.cache.Prepare(ask(t, "GET", keyPath, "Cache-Control", "no-store")),
		"If-Match":        c.cache.Prepare(ask(t, "GET", keyPath, "If-Match", `"x"`)),
		"a kind that off": off.Prepare(ask(t, "GET", keyPath)),
		"in process":      newCache(t).Prepare(ask(t, "GET", keyPath)),
	} {
		if s.WithRead(t.Context()) != t.Context() {
			t.Errorf("%s: something travels", name)
		}
		c.wantTrips(0, name, func() { s.Look(t.Context(), time.Now()) })
	}
}

func TestLastTripIsTheOneThatCounts(t *testing.T) {
	c := newCarrier(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c.cache, q, 200, nil, "v")
	s := c.cache.Prepare(q)
	ctx := s.WithRead(t.Context())
	_ = c.pay(ctx)
	mark(t, c.cache, ask(t, "PUT", keyPath)) // while the request waits for its quota
	_ = c.pay(ctx)
	if r := s.Look(t.Context(), time.Now()); r.Status.String() != writeInFlight {
		t.Errorf("got %s, want the result of the second trip: %s", r.Status, writeInFlight)
	}
}

func TestScriptsThatRedisForgotTravelWhole(t *testing.T) {
	c := newCarrier(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c.cache, q, 200, nil, "v")
	c.server.Do("SCRIPT", "FLUSH")
	s := c.cache.Prepare(q)
	c.wantTrips(2, "the quota sent again, and the question with it", func() {
		_ = c.pay(s.WithRead(t.Context()))
		if r := s.Look(t.Context(), time.Now()); r.Entry == nil {
			t.Errorf("got %s, want a hit", r.Status)
		}
	})
	c.server.Do("SCRIPT", "FLUSH")
	_ = c.pay(t.Context())
	s = c.cache.Prepare(q)
	c.wantTrips(3, "the quota's script was known", func() {
		_ = c.pay(s.WithRead(t.Context()))
		if r := s.Look(t.Context(), time.Now()); r.Entry == nil {
			t.Errorf("got %s, want a hit", r.Status)
		}
	})
}

func TestRedisIsNotTriedAgainRightAfterAFailure(t *testing.T) {
	c := newCarrier(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c.cache, q, 200, nil, "v")
	c.server.Stop()
	s := c.cache.Prepare(q)
	ctx := s.WithRead(t.Context())
	if err := c.pay(ctx); !errors.Is(err, redisconn.ErrDown) {
		t.Fatalf("the quota without Redis: %v, want ErrDown", err)
	}
	c.server.Restart() // would answer
	const want = "osgate; fwd=bypass; detail=coherence-unavailable"
	if r := s.Look(t.Context(), time.Now()); r.Status.String() != want {
		t.Errorf("got %s, want %s", r.Status, want)
	}
}
