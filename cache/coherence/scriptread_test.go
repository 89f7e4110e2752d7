package coherence

import (
	"sync"
	"testing"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// readFirst is a read by the script in place, as the first one of a key is.
func readFirst(t testing.TB, c *Redis, on Resources) (reading Reading, answered bool) {
	t.Helper()
	q := readQuestion{coherence: c, on: on, script: true}
	if err := c.conn.Ask(t.Context(), kindOfReads, &q); err != nil {
		t.Fatal(err)
	}
	return q.reading, q.answered
}

// TestAFirstReadMakesTheGenerations: the transaction decides the next read, and finds the
// same ids.
func TestAFirstReadMakesTheGenerations(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	read(t, c, twoSlots(0)) // Redis has the script
	on := twoSlots(10)
	want, answered := readFirst(t, c, on)
	if !answered {
		t.Fatal("the script has no answer")
	}
	for i := range on.n {
		if want.Stamp.Generations[i] == (ID{}) {
			t.Errorf("generation %d is missing", i)
		}
	}
	if got, decided := readJoint(t, c, on); !decided || got != want {
		t.Errorf("the transaction reads %+v, decided %v, want %+v", got, decided, want)
	}
}

// TestAFirstReadRemembersTheEpoch: an epoch that was made without settling is believed
// only by a gateway that knows it.
func TestAFirstReadRemembersTheEpoch(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	read(t, c, resource(0))
	slot := &c.slots[resource(0).list[0].Slot]
	known := *slot.remembered.Load()
	slot.remembered.Store(nil)
	if _, answered := readFirst(t, c, resource(0)); !answered {
		t.Fatal("the script has no answer")
	}
	if got := slot.remembered.Load(); got == nil || *got != known {
		t.Errorf("remembers %v, want %v", got, known)
	}
	s.Do("HSET", slot.key, "virgin", "1", "epoch", "another-epoch-id")
	if got, answered := readFirst(t, c, resource(0)); !answered || got.Closed != closedBySettling {
		t.Errorf("got %+v, %v, want an epoch that settles", got, answered)
	}
}

// TestFirstReadsSurviveAForgottenScript: Redis forgets its scripts when it restarts.
func TestFirstReadsSurviveAForgottenScript(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	read(t, c, resource(0))
	rideScript(t.Context(), t, c)
	for _, other := range []bool{false, true} {
		s.Do("SCRIPT", "FLUSH")
		on := resource(1)
		if other { // a read of the same batch
			on = resource(2)
		}
		ctx, e := c.StartRead(t.Context(), on)
		rideScript(ctx, t, c)
		got, err := e.Read(t.Context())
		if err != nil || got.Stamp.Generations[0] == (ID{}) {
			t.Errorf("got %+v, %v", got, err)
		}
		if again := read(t, c, on); again.Stamp != got.Stamp {
			t.Errorf("got %+v, want %+v as before", again, got)
		}
	}
	if c.scriptsUntil.Load() != 0 {
		t.Error("transactions end because a script was unknown")
	}
}

// TestFirstReadsAndOthersShareABatch: each caller has the answer to its own read.
func TestFirstReadsAndOthersShareABatch(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	known := read(t, c, resource(0))
	rideScript(t.Context(), t, c)
	s.Do("CONFIG", "RESETSTAT")
	const callers, each = 16, 100
	var all sync.WaitGroup
	for n := range callers {
		all.Go(func() {
			for i := range each {
				on := resource(0)
				first := n%2 == 1
				if first {
					on = twoSlots(1000*(1+n) + 3*i)
				}
				ctx, e := c.StartRead(t.Context(), on)
				rideScript(ctx, t, c)
				got, err := e.Read(t.Context())
				switch {
				case err != nil:
					t.Error(err)
				case first && got.Stamp.Generations[2] == (ID{}):
					t.Errorf("a first read has %+v", got)
				case !first && got != known:
					t.Errorf("a read has %+v, want %+v", got, known)
				}
			}
		})
	}
	all.Wait()
	const own = callers * each           // scripts of the limiter
	const slots = 2 * callers / 2 * each // each first read is in two slots
	if n := commands(t, s, "evalsha"); n != own+slots {
		t.Errorf("%d scripts, want %d", n, own+slots)
	}
}

// TestAnOddAnswerOfTheScriptIsNoReading.
func TestAnOddAnswerOfTheScriptIsNoReading(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	id := string(make([]byte, len(ID{})))
	for name, answer := range map[string][]any{
		"too short":               {id, "", ""},
		"too long":                {id, "", "", id, id},
		"an epoch of 3 bytes":     {"abc", "", "", id},
		"a purge of 3 bytes":      {id, "abc", "", id},
		"a number as the reason":  {id, "", int64(1), id},
		"a generation of 3 bytes": {id, "", "", "abc"},
		"no generation":           {id, "", "", nil},
	} {
		q := readQuestion{coherence: c, on: resource(0), script: true}
		if q.takeScript(redisconn.RepliesOf(answer)); q.answered {
			t.Errorf("%s: answered %+v", name, q.reading)
		}
	}
	q := readQuestion{coherence: c, on: resource(0), script: true}
	if q.takeScript(redisconn.RepliesOf([]any{id, "", closedByWrite, id})); !q.answered || q.reading.Closed != closedByWrite {
		t.Errorf("got %+v, answered %v", q.reading, q.answered)
	}
}
