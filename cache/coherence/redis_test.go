package coherence

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

func settlesAfter(d time.Duration) func(*RedisOptions) {
	return func(o *RedisOptions) { o.Settle = d }
}

func strict(o *RedisOptions) { o.Strict = true }

// running runs c until the test ends.
func running(t testing.TB, c *Redis) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func client(t testing.TB, s *redistest.Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func keysOf(t testing.TB, s *redistest.Server, pattern string) []string {
	t.Helper()
	keys, err := client(t, s).Keys(t.Context(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestWriteThroughOneGatewayIsSeenByAnother(t *testing.T) {
	s := redistest.Start(t)
	a, b := gateway(t, s), gateway(t, s)
	before := read(t, b, resource(0))
	if read(t, a, resource(0)) != before {
		t.Fatal("two gateways see two generations")
	}
	writer := NewID()
	markFor(t, a, resource(0), writer, time.Minute)
	wantClosed(t, read(t, b, resource(0)), closedByWrite, "through the other gateway")
	a.Release(resource(0), writer, true)
	a.giveBackAll(t.Context())
	after := read(t, b, resource(0))
	wantOpen(t, after, "after the release")
	if after.Stamp == before.Stamp {
		t.Error("the other gateway sees the generation of before the write")
	}
}

func TestWriteOfAStoreMarksInBothSlots(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	on := pair(0)
	on.list[1].Slot = 1
	writer := NewID()
	markFor(t, c, on, writer, time.Minute)
	for i, one := range on.All() {
		wantClosed(t, read(t, c, Of(one)), closedByWrite, fmt.Sprintf("resource %d", i))
	}
	both := read(t, c, on)
	for i := range 2 {
		if both.Stamp.Generations[i] == (ID{}) {
			t.Errorf("no generation of resource %d: %+v", i, both)
		}
	}
	c.Release(on, writer, true)
	c.giveBackAll(t.Context())
	wantOpen(t, read(t, c, on), "after the release")
}

// Redis loses keys in many ways. In none of them may an old entry stay valid or a lease
// be lost silently.
func TestLossOfKeysInRedisSettles(t *testing.T) {
	t.Parallel()
	const settle = 300 * time.Millisecond
	for name, forget := range map[string]func(t *testing.T, s *redistest.Server, c *Redis){
		"flush":                 func(_ *testing.T, s *redistest.Server, _ *Redis) { s.Flush() },
		"restart":               func(_ *testing.T, s *redistest.Server, _ *Redis) { s.Restart() },
		"eviction of the epoch": func(_ *testing.T, s *redistest.Server, c *Redis) { s.Do("DEL", c.slots[0].key) },
		"an epoch of another server": func(_ *testing.T, s *redistest.Server, c *Redis) {
			s.Do("HSET", c.slots[0].key, "server", strings.Repeat("0", 40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			c := gateway(t, s, settlesAfter(settle))
			before := read(t, c, resource(0))
			markFor(t, c, resource(1), NewID(), time.Minute)
			start := time.Now()
			forget(t, s, c)
			var r Reading
			for err := redisconn.ErrDown; err != nil; { // connections from before a restart are broken
				r, err = c.Read(t.Context(), resource(0))
			}
			wantClosed(t, r, closedBySettling, "after it")
			after, _ := awaitOpen(t, c, resource(0))
			if took := time.Since(start); took < settle {
				t.Errorf("open after %v, want %v at least", took, settle)
			}
			if after.Stamp == before.Stamp || after.Stamp.Epoch == before.Stamp.Epoch {
				t.Error("the stamp of before is back")
			}
		})
	}
}

func TestPromotedReplicaSettles(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t)
	host, port, _ := strings.Cut(primary.Addr(), ":")
	replica := redistest.Start(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	c := gateway(t, primary)
	before := read(t, c, resource(0))
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(replica.Do("HGET", c.slots[0].key, "virgin"), "1") {
		if time.Now().After(deadline) {
			t.Fatal("the replica does not follow")
		}
	}
	replica.Do("REPLICAOF", "NO", "ONE")
	moved := gateway(t, replica)
	r := read(t, moved, resource(0))
	wantClosed(t, r, closedBySettling, "after a failover")
	if r.Stamp.Generations != before.Stamp.Generations {
		t.Error("the replica has other generations: the test needs the same ones")
	}
	if r.Stamp.Epoch == before.Stamp.Epoch {
		t.Error("the epoch outlived its server")
	}
}

func TestNewEpochNeverShortensASettling(t *testing.T) {
	s := redistest.Start(t)
	long, short := gateway(t, s, settlesAfter(time.Minute)), gateway(t, s, settlesAfter(time.Millisecond))
	read(t, long, resource(0))
	s.Flush()
	wantClosed(t, read(t, long, resource(0)), closedBySettling, "after a flush")
	s.Do("HSET", long.slots[0].key, "server", strings.Repeat("0", 40))
	read(t, short, resource(0)) // makes the new epoch
	<-time.After(5 * time.Millisecond)
	wantClosed(t, read(t, short, resource(0)), closedBySettling, "after another epoch")
	if err := short.epochs(t.Context(), "settle", 0); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, read(t, short, resource(0)), closedBySettling, "after one that settles at once")
}

func TestNewRedisNeedsNotSettleUntilSomebodyRemembersAnother(t *testing.T) {
	s := redistest.Start(t)
	old := gateway(t, s)
	first := read(t, old, resource(0))
	wantOpen(t, first, "a new Redis")
	s.Flush()
	fresh := gateway(t, s)
	wantOpen(t, read(t, fresh, resource(0)), "to a gateway that has just started")
	if err := old.epochs(t.Context(), "look", 0); err != nil { // as every second
		t.Fatal(err)
	}
	wantClosed(t, read(t, fresh, resource(0)), closedBySettling, "when one that remembers has looked")
	if second := read(t, old, resource(0)); second.Stamp.Epoch == first.Stamp.Epoch {
		t.Error("the epoch of before the flush is back")
	}
	wantClosed(t, read(t, gateway(t, redistest.Start(t), strict), resource(0)), closedBySettling, "a new Redis, strict")
}

func TestSettledEpochIsNotReplacedByOlderOnes(t *testing.T) {
	s := redistest.Start(t)
	a, b := gateway(t, s), gateway(t, s)
	read(t, a, resource(0))
	read(t, b, resource(0))
	s.Flush()
	first := read(t, a, resource(0))
	if second := read(t, b, resource(0)); second != first {
		t.Errorf("got %+v, then %+v through the other gateway", first, second)
	}
}

func TestForgottenGenerationInRedisIsNeverTheSameAgain(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	before := read(t, c, resource(0))
	for _, key := range keysOf(t, s, "*generation*") {
		s.Do("DEL", key)
	}
	after := read(t, c, resource(0))
	wantOpen(t, after, "after an eviction")
	if after.Stamp.Epoch != before.Stamp.Epoch || after.Stamp.Generations == before.Stamp.Generations {
		t.Errorf("got %+v, then %+v, want another generation of the same epoch", before, after)
	}
}

func TestForgottenScriptsAreSentAgain(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	writer := NewID()
	for range 2 {
		s.Do("SCRIPT", "FLUSH")
		markFor(t, c, resource(0), writer, time.Minute)
		s.Do("SCRIPT", "FLUSH")
		wantClosed(t, read(t, c, resource(0)), closedByWrite, "under a lease")
		s.Do("SCRIPT", "FLUSH")
		c.Release(resource(0), writer, true)
		c.giveBackAll(t.Context())
		wantOpen(t, read(t, c, resource(0)), "after the release")
	}
}

// TestACallThatRanIsNotSentAgain, when Redis does not know the script of another call of
// the same round trip: it would use the id of its new generation twice.
func TestACallThatRanIsNotSentAgain(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	known := redis.NewScript(writes + `return { tostring(redis.call("INCR", KEYS[1])) }`)
	unknown := redis.NewScript(writes + `return { "second " .. redis.call("INCR", KEYS[1]) }`)
	s.Do("SCRIPT", "LOAD", writes+`return { tostring(redis.call("INCR", KEYS[1])) }`)
	calls := []call{{script: known, keys: []string{"a"}}, {script: unknown, keys: []string{"b"}}, {script: known, keys: []string{"c"}}}
	if err := run(t.Context(), c.conn, calls); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"1", "second 1", "1"} {
		if got := calls[i].answer; len(got) != 1 || got[0] != want {
			t.Errorf("the answer of call %d is %q, want %q", i, got, want)
		}
	}
}

func TestLeasesOfASlotAreBounded(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	quiet := read(t, c, resource(-1))
	leased(t, s, c, time.Now().Add(-time.Second))
	markFor(t, c, resource(0), NewID(), time.Minute)
	wantOpen(t, read(t, c, resource(-1)), "something else, when leases that have run out were swept")
	wantClosed(t, read(t, c, resource(0)), closedByWrite, "what was leased then")
	if n, err := client(t, s).HLen(t.Context(), c.slots[0].key).Result(); err != nil || n > 10 {
		t.Errorf("%d fields (%v) are left of those that have run out", n, err)
	}
	leased(t, s, c, time.Now().Add(time.Minute))
	for n := range 2 {
		markFor(t, c, resource(1+n), NewID(), time.Minute)
		r := read(t, c, resource(-1))
		wantClosed(t, r, closedBySettling, "something else in a slot without room")
		if r.Stamp.Epoch == quiet.Stamp.Epoch {
			t.Error("the epoch is the one of before")
		}
	}
	if n := c.Settled(); n != 2 {
		t.Errorf("%d leases are counted for which there was no room, want 2", n)
	}
	if n, err := client(t, s).HLen(t.Context(), c.slots[0].key).Result(); err != nil || n > slotLeased+10 {
		t.Errorf("%d fields (%v) in a slot of %d leases", n, err, slotLeased)
	}
}

// leased fills the first slot with leases that end at ends.
func leased(t testing.TB, s *redistest.Server, c *Redis, ends time.Time) {
	t.Helper()
	var fields []any
	for n := range slotLeased {
		id := NewID()
		fields = append(fields, fmt.Sprintf("l%032d", n), fmt.Sprintf("%s%016d", id[:], ends.UnixMicro()))
	}
	if err := client(t, s).HSet(t.Context(), c.slots[0].key, fields...).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRunKeepsGatewaysTogether(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := gateway(t, s), gateway(t, s)
	running(t, a)
	running(t, b)
	awaitOpen(t, a, resource(0))
	writer := NewID()
	markFor(t, a, resource(0), writer, time.Minute)
	a.Release(resource(0), writer, true)
	if _, took := awaitOpen(t, b, resource(0)); took > 30*time.Second {
		t.Errorf("a release took %v", took)
	}
	old := a.slots[0].remembered.Load()
	s.Flush()
	deadline := time.Now().Add(time.Minute)
	for now := old; *now == *old; now = a.slots[0].remembered.Load() {
		if time.Now().After(deadline) {
			t.Fatal("Run does not read the epochs")
		}
		<-time.After(10 * time.Millisecond)
	}
	wantClosed(t, read(t, b, resource(0)), closedBySettling, "after a flush that the other one has seen")
	a.unmarked.add(resource(1), NewID(), time.Now().Add(time.Minute))
	for a.unmarked.any() {
		if time.Now().After(deadline) {
			t.Fatal("Run does not mark the unmarked writes")
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestRunDoesWhatWaitsWhenItEnds(t *testing.T) {
	s := redistest.Start(t)
	c := gateway(t, s)
	const many = 3 * releaseBatch
	for n := range many {
		writer := NewID()
		markFor(t, c, resource(n), writer, time.Minute)
		c.Release(resource(n), writer, true)
	}
	c.unmarked.add(resource(many), NewID(), time.Now().Add(time.Minute))
	<-c.unmarked.added // otherwise Run may handle it before its end
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, read(t, c, resource(many)), closedByWrite, "what was written without Redis, after Run has ended")
	for n := range many {
		wantOpen(t, read(t, c, resource(n)), "after Run has ended")
	}
	if c.Dropped() != 0 {
		t.Errorf("%d leases were not given back", c.Dropped())
	}
}

func TestReleasesThatFindNoRoomAreCounted(t *testing.T) {
	c := gateway(t, redistest.Start(t))
	for range releaseQueue + 5 {
		c.Release(resource(0), NewID(), true)
	}
	if c.Dropped() != 5 {
		t.Errorf("got %d, want 5", c.Dropped())
	}
}

func TestRedisCoherenceNeedsToSettle(t *testing.T) {
	if _, err := NewRedis(nil, RedisOptions{}); err == nil {
		t.Error("no error without Settle")
	}
}
