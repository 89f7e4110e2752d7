package coherence

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// count is a script of another package, as a limiter's.
var count = redisconn.NewScript(`return redis.call("INCR", KEYS[1])`)

// rideScript makes a round trip with count.
func rideScript(ctx context.Context, t testing.TB, c *Redis) {
	t.Helper()
	err := c.conn.Eval(ctx, count, c.conn.Key("count", "k"), func(r *redisconn.Replies) error { return r.Err() })
	if err != nil {
		t.Error(err)
	}
}

// readByScript is a Read that makes no transaction.
func readByScript(t testing.TB, c *Redis, on Resources) Reading {
	t.Helper()
	calls := c.calls(on, c.scripts.read)
	if err := c.run(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	reading, err := readingOf(calls)
	if err != nil {
		t.Fatal(err)
	}
	return reading
}

// readJoint is a read in a transaction alone.
func readJoint(t testing.TB, c *Redis, on Resources) (reading Reading, decided bool) {
	t.Helper()
	q := readQuestion{coherence: c, on: on}
	if err := c.conn.Ask(t.Context(), kindOfReads, &q); err != nil {
		t.Fatal(err)
	}
	return q.reading, q.answered
}

// twoSlots returns three resources, of which the last is in another slot.
func twoSlots(n int) Resources {
	on := pair(n)
	on.list[2] = resource(n + 2).list[0]
	on.list[2].Slot = (on.list[0].Slot + 1) % Slots
	on.n = 3
	return on
}

// TestSharedReadsDecideAsTheScript: whatever was written, both have the same reading.
func TestSharedReadsDecideAsTheScript(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s, settlesAfter(time.Second))
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n += 3
		on, writers := twoSlots(n), []ID{NewID(), NewID()}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			part := Of(on.list[rapid.IntRange(0, 2).Draw(rt, "resource")])
			writer := writers[rapid.IntRange(0, 1).Draw(rt, "writer")]
			switch rapid.SampledFrom([]string{"mark", "end", "refuse", "change", "purge", "settle"}).Draw(rt, "step") {
			case "mark":
				markFor(t, c, part, writer, time.Hour)
			case "end":
				c.Release(part, writer, true)
			case "refuse":
				c.Release(part, writer, false)
			case "change":
				markFor(t, c, part, writer, 0)
			case "purge":
				if err := c.Reset(t.Context()); err != nil {
					t.Fatal(err)
				}
			case "settle":
				if err := c.epochs(t.Context(), "settle", 10*time.Millisecond); err != nil {
					t.Fatal(err)
				}
			}
			c.giveBackAll(t.Context())
			want := readByScript(t, c, on)
			if got, decided := readJoint(t, c, on); !decided || got != want && want.Closed != closedBySettling {
				rt.Fatalf("the transaction reads %+v, decided %v, the script %+v", got, decided, want)
			}
			if got, known := readFirst(t, c, on); !known || got != want && want.Closed != closedBySettling {
				rt.Fatalf("the script in place reads %+v, known %v, the script %+v", got, known, want)
			}
		}
	})
}

// TestTransactionsLeaveToTheScriptWhatTheyCannotDecide, and change nothing.
func TestTransactionsLeaveToTheScriptWhatTheyCannotDecide(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s *redistest.Server, c *Redis){
		"no epoch": func(_ *testing.T, s *redistest.Server, _ *Redis) { s.Flush() },
		"no generation": func(t *testing.T, s *redistest.Server, _ *Redis) {
			for _, key := range keysOf(t, s, "*generation*") {
				s.Do("DEL", key)
			}
		},
		"the epoch of another server": func(_ *testing.T, s *redistest.Server, c *Redis) {
			s.Do("HSET", c.slots[resource(0).list[0].Slot].key, "server", strings.Repeat("0", 40))
		},
		"an epoch without settling, and another remembered": func(_ *testing.T, s *redistest.Server, c *Redis) {
			slot := &c.slots[resource(0).list[0].Slot]
			s.Do("HSET", slot.key, "virgin", "1")
			slot.remember(NewID())
		},
		"a lease that is too long": func(_ *testing.T, s *redistest.Server, c *Redis) {
			on := resource(0).list[0]
			s.Do("HSET", c.slots[on.Slot].key, "l"+string(on.Hash[:]), strings.Repeat("w", 16)+"9999999999999999")
		},
		"a settling that is too long": func(_ *testing.T, s *redistest.Server, c *Redis) {
			s.Do("HSET", c.slots[resource(0).list[0].Slot].key, "settles", "9999999999999999")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t, "--enable-debug-command", "yes")
			c := gateway(t, s)
			read(t, c, resource(0))
			if _, decided := readJoint(t, c, resource(0)); !decided {
				t.Fatal("not decided before")
			}
			change(t, s, c)
			before := s.Do("DBSIZE") + s.Do("DEBUG", "DIGEST")
			if got, decided := readJoint(t, c, resource(0)); decided {
				t.Errorf("decided: %+v", got)
			}
			if after := s.Do("DBSIZE") + s.Do("DEBUG", "DIGEST"); after != before {
				t.Error("the transaction has changed something")
			}
			read(t, c, resource(0)) // by the script
			if _, decided := readJoint(t, c, resource(0)); !decided {
				t.Error("not decided after the script")
			}
		})
	}
}

// TestReadsOfABatchAreReadOnce: callers that wait at the same time share a transaction,
// and a resource is read once.
func TestReadsOfABatchAreReadOnce(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	first, second := read(t, c, twoSlots(0)), read(t, c, pair(1))
	rideScript(t.Context(), t, c)
	s.Do("CONFIG", "RESETSTAT")
	const callers, each = 16, 100
	var all sync.WaitGroup
	for n := range callers {
		on, want := twoSlots(0), first
		if n%2 == 1 {
			on, want = pair(1), second
		}
		all.Go(func() {
			for range each {
				ctx, e := c.StartRead(t.Context(), on)
				rideScript(ctx, t, c)
				if got, err := e.Read(t.Context()); err != nil || got != want {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
			}
		})
	}
	all.Wait()
	if n := commands(t, s, "evalsha"); n != callers*each {
		t.Errorf("%d scripts for %d callers, want the limiter's alone", n, callers*each)
	}
	if n := commands(t, s, "exec"); n == 0 || n > callers*each/2 {
		t.Errorf("%d transactions for %d reads", n, callers*each)
	}
}

// commands returns how often Redis has run a command since its counts were reset.
func commands(t testing.TB, s *redistest.Server, name string) int {
	t.Helper()
	_, rest, _ := strings.Cut(s.Do("INFO", "commandstats"), "cmdstat_"+name+":calls=")
	number, _, _ := strings.Cut(rest, ",")
	n, _ := strconv.Atoi(number)
	return n
}

// TestAUserWithoutTransactionsReadsByTheScript.
func TestAUserWithoutTransactionsReadsByTheScript(t *testing.T) {
	s := redistest.Start(t)
	want := read(t, gateway(t, s), resource(0))
	s.Do("ACL", "SETUSER", "default", "-multi")
	c := gateway(t, s)
	for range 10 {
		if got := read(t, c, resource(0)); got.Stamp != want.Stamp || got.Closed != want.Closed {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	s.Do("CONFIG", "RESETSTAT")
	read(t, c, resource(0))
	if n := commands(t, s, "exec"); n != 0 {
		t.Errorf("%d transactions after one was refused, want none for a while", n)
	}
	c.scriptsUntil.Store(time.Now().UnixNano()) // later
	s.Do("ACL", "SETUSER", "default", "+multi")
	read(t, c, resource(0))
	if n := commands(t, s, "exec"); n != 1 {
		t.Errorf("%d transactions with the right, want 1", n)
	}
}

// TestAReadWithTheQuotaAllocatesLittle: a read that is sent along costs its own state and
// its context.
func TestAReadWithTheQuotaAllocatesLittle(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates too")
	}
	c := gateway(t, redistest.Start(t))
	on := twoSlots(0)
	trip := func() {
		ctx, e := c.StartRead(t.Context(), on)
		rideScript(ctx, t, c)
		if _, err := e.Read(t.Context()); err != nil {
			t.Error(err)
		}
	}
	trip()
	if n := testing.AllocsPerRun(200, trip); n > 10 {
		t.Errorf("%v allocations, want 10 at most", n)
	}
	n := testing.AllocsPerRun(200, func() {
		c.seen.drop(&on)
		trip()
	})
	if n > 10 {
		t.Errorf("%v allocations of a first read, want 10 at most", n)
	}
}
