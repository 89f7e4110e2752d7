package coherence

import (
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// redisTimeout is long, because the machine may be busy. Tests that need a short one
// are in redisconn.
const redisTimeout = time.Minute

// place is a Redis: a server, a cluster, or servers with sentinels.
type place interface{ URL() string }

func connect(t testing.TB, s place) *redisconn.Conn {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: redisTimeout, Group: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// gateway returns the coherence of one gateway on s, without its Run.
func gateway(t testing.TB, s place, change ...func(*RedisOptions)) *Redis {
	t.Helper()
	o := RedisOptions{Settle: time.Minute}
	for _, f := range change {
		f(&o)
	}
	c, err := NewRedis(connect(t, s), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// contract lists the promises of every Coherence. Each test gets a Coherence of its
// own; settle does the work of Run.
var contract = map[string]func(t *testing.T, c Tracker, settle func()){
	"generations stay as they are until a write":          generationsStayAsTheyAreUntilAWrite,
	"mark closes, release opens under a new one":          markClosesAndReleaseOpensUnderANewGeneration,
	"a lease runs out and its release invalidates":        leaseRunsOutAndItsReleaseInvalidates,
	"a lease is renewed and never shortened":              leaseIsRenewedAndNeverShortened,
	"nobody's lease is not given back":                    leaseOfNobodyIsNotGivenBack,
	"a reset changes every stamp and nothing else":        resetChangesEveryStampAndNothingElse,
	"leases are bounded for one resource":                 leasesAreBoundedForOneResource,
	"a write of two slots is marked and ended in both":    writeOfTwoSlotsIsMarkedAndEndedInBoth,
	"a refused write leaves the generations as they were": refusedWriteLeavesTheGenerationsAsTheyWere,
	"a lease that runs out takes the generation along":    leaseThatRunsOutTakesTheGenerationAlong,
	"a refusal saves no generation from another's lease":  refusalSavesNoGenerationFromAnothersLease,
	"a mark without a lease makes new generations":        markWithoutALeaseMakesNewGenerations,
}

func TestLocalCoherenceKeepsItsContract(t *testing.T) {
	for name, promise := range contract {
		t.Run(name, func(t *testing.T) { promise(t, NewLocal(), func() {}) })
	}
}

// keepsContract runs the contract in one Redis, which forget empties.
func keepsContract(t *testing.T, s place, forget func()) {
	t.Helper()
	for name, promise := range contract {
		t.Run(name, func(t *testing.T) {
			forget()
			c := gateway(t, s) // has just started, so that no epoch settles
			promise(t, c, func() { c.giveBackAll(t.Context()) })
		})
	}
}

func TestRedisCoherenceKeepsItsContract(t *testing.T) {
	s := redistest.Start(t)
	keepsContract(t, s, s.Flush)
}

// pair returns two resources of one slot.
func pair(n int) Resources {
	on := resource(n)
	on.list[1] = resource(n + 1).list[0]
	on.n = 2
	return on
}

func wantOpen(t *testing.T, r Reading, when string) {
	t.Helper()
	if r.Closed != "" {
		t.Errorf("%s: closed as %s, want open", when, r.Closed)
	}
}

func wantClosed(t *testing.T, r Reading, why, when string) {
	t.Helper()
	if r.Closed != why {
		t.Errorf("%s: closed is %q, want %q", when, r.Closed, why)
	}
}

// awaitOpen reads until on is open, and returns how long that took and the reading.
func awaitOpen(t *testing.T, c Tracker, on Resources) (Reading, time.Duration) {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < time.Minute {
		if r, err := c.Read(t.Context(), on); err == nil && r.Closed == "" {
			return r, time.Since(start)
		}
		<-tick.C
	}
	t.Fatal("not open within a minute")
	return Reading{}, 0
}

func generationsStayAsTheyAreUntilAWrite(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	first := read(t, c, pair(0))
	wantOpen(t, first, "at first")
	if again := read(t, c, pair(0)); again != first {
		t.Errorf("read %+v, then %+v", first, again)
	}
	other := read(t, c, pair(1))
	if other.Stamp.Generations[0] != first.Stamp.Generations[1] || other.Stamp.Epoch != first.Stamp.Epoch {
		t.Errorf("one resource has two generations: %+v, %+v", first, other)
	}
	if first.Stamp.Generations[0] == first.Stamp.Generations[1] || first.Stamp.Generations[0] == (ID{}) || first.Stamp.Epoch == (ID{}) {
		t.Errorf("got %+v, want an epoch and two generations of their own", first)
	}
}

func markClosesAndReleaseOpensUnderANewGeneration(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	before, untouched := read(t, c, pair(0)), read(t, c, resource(5))
	writer := NewID()
	markFor(t, c, resource(1), writer, time.Minute)
	during := read(t, c, pair(0))
	wantClosed(t, during, closedByWrite, "under a lease on one of two")
	wantOpen(t, read(t, c, resource(0)), "beside the lease")
	c.Release(resource(1), NewID(), true) // of another writer
	settle()
	wantClosed(t, read(t, c, pair(0)), closedByWrite, "after another writer's release")
	c.Release(resource(1), writer, true)
	settle()
	after := read(t, c, pair(0))
	wantOpen(t, after, "after the release")
	if after.Stamp == before.Stamp || after.Stamp.Generations[0] != before.Stamp.Generations[0] {
		t.Errorf("got %+v, then %+v after a write of the second", before, after)
	}
	if read(t, c, resource(5)) != untouched {
		t.Error("the write touched another resource")
	}
}

func leaseRunsOutAndItsReleaseInvalidates(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	writer := NewID()
	const lease = 50 * time.Millisecond
	start := time.Now()
	markFor(t, c, resource(0), writer, lease)
	late, _ := awaitOpen(t, c, resource(0))
	if took := time.Since(start); took < lease {
		t.Errorf("open after %v of a lease of %v", took, lease)
	}
	c.Release(resource(0), writer, true)
	settle()
	if after := read(t, c, resource(0)); after.Stamp == late.Stamp {
		t.Error("an entry that was stored between the end of the lease and of its write is served")
	}
}

func leaseIsRenewedAndNeverShortened(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	writer := NewID()
	markFor(t, c, resource(0), writer, time.Microsecond)
	markFor(t, c, resource(0), writer, time.Minute)
	markFor(t, c, resource(0), writer, time.Microsecond)
	<-time.After(time.Millisecond)
	wantClosed(t, read(t, c, resource(0)), closedByWrite, "under a lease that was renewed")
	c.Release(resource(0), writer, true)
	settle()
	wantOpen(t, read(t, c, resource(0)), "after the release of a renewed lease")
}

func refusedWriteLeavesTheGenerationsAsTheyWere(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	before := read(t, c, pair(0))
	first, second := NewID(), NewID()
	const lease = 100 * time.Millisecond
	markFor(t, c, pair(0), first, lease)
	markFor(t, c, pair(0), second, lease)
	markFor(t, c, pair(0), first, lease) // renewed
	wantClosed(t, read(t, c, pair(0)), closedByWrite, "under both leases")
	c.Release(pair(0), first, false)
	settle()
	wantClosed(t, read(t, c, pair(0)), closedByWrite, "under one lease")
	c.Release(pair(0), second, false)
	settle()
	<-time.After(2 * lease)
	if after := read(t, c, pair(0)); after != before {
		t.Errorf("got %+v, then %+v after writes without an effect", before, after)
	}
}

func leaseThatRunsOutTakesTheGenerationAlong(t *testing.T, c Tracker, _ func()) {
	t.Helper()
	before := read(t, c, pair(0))
	markFor(t, c, resource(1), NewID(), 50*time.Millisecond)
	after, _ := awaitOpen(t, c, pair(0))
	if after.Stamp.Generations[1] == before.Stamp.Generations[1] {
		t.Error("an entry from before a write of unknown outcome is served after its lease")
	}
	if after.Stamp.Generations[0] != before.Stamp.Generations[0] {
		t.Error("the write touched another resource")
	}
	if again := read(t, c, pair(0)); again != after {
		t.Errorf("read %+v, then %+v", after, again)
	}
}

func refusalSavesNoGenerationFromAnothersLease(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	before := read(t, c, resource(0))
	refused := NewID()
	markFor(t, c, resource(0), NewID(), 50*time.Millisecond)
	markFor(t, c, resource(0), refused, time.Minute)
	c.Release(resource(0), refused, false)
	settle()
	if after, _ := awaitOpen(t, c, resource(0)); after.Stamp == before.Stamp {
		t.Error("a refused write let a generation outlive the lease of a write of unknown outcome")
	}
}

func markWithoutALeaseMakesNewGenerations(t *testing.T, c Tracker, _ func()) {
	t.Helper()
	before := read(t, c, resource(0))
	markFor(t, c, resource(0), NewID(), 0)
	after := read(t, c, resource(0))
	wantOpen(t, after, "after a mark without a lease")
	if after.Stamp == before.Stamp {
		t.Error("the generation is the one of before")
	}
}

func leaseOfNobodyIsNotGivenBack(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	markFor(t, c, resource(0), ID{}, time.Minute)
	c.Release(resource(0), NewID(), true)
	settle()
	wantClosed(t, read(t, c, resource(0)), closedByWrite, "under nobody's lease")
}

func resetChangesEveryStampAndNothingElse(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	before, slot := read(t, c, resource(0)), resource(1)
	slot.list[0].Slot = 63
	elsewhere := read(t, c, slot)
	markFor(t, c, resource(2), NewID(), time.Minute)
	if err := c.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := read(t, c, resource(0))
	wantOpen(t, after, "after a reset")
	if after.Stamp == before.Stamp || read(t, c, slot).Stamp == elsewhere.Stamp {
		t.Error("a stamp outlived a reset")
	}
	if read(t, c, resource(0)) != after {
		t.Error("a stamp changes after a reset")
	}
	wantClosed(t, read(t, c, resource(2)), closedByWrite, "under a lease, after a reset")
}

func leasesAreBoundedForOneResource(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	const lease = time.Second
	writers, first := make([]ID, 2*maxLeases), time.Now()
	for i := range writers {
		writers[i] = NewID()
		markFor(t, c, resource(0), writers[i], lease)
	}
	for _, writer := range writers {
		c.Release(resource(0), writer, true)
	}
	settle()
	if r := read(t, c, resource(0)); time.Since(first) < lease { // otherwise the first have run out before there were too many
		wantClosed(t, r, closedByWrite, "while the shared lease lasts")
	}
	awaitOpen(t, c, resource(0))
}

func writeOfTwoSlotsIsMarkedAndEndedInBoth(t *testing.T, c Tracker, settle func()) {
	t.Helper()
	both := pair(0)
	both.list[1].Slot = 1
	before := read(t, c, both)
	writer := NewID()
	markFor(t, c, both, writer, time.Minute)
	for i := range both.n {
		one := Of(both.list[i])
		wantClosed(t, read(t, c, one), closedByWrite, "one of two that are written")
	}
	c.Release(both, writer, true)
	settle()
	after := read(t, c, both)
	wantOpen(t, after, "after the release")
	for i := range both.n {
		if after.Stamp.Generations[i] == before.Stamp.Generations[i] {
			t.Errorf("the write made no new generation of resource %d", i)
		}
	}
}

// The scripts decide as protocol.go does: both run the same random history of one
// resource.
func TestScriptsDecideAsTheProtocol(t *testing.T) {
	s := redistest.Start(t)
	redis := gateway(t, s)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		on := resource(n)
		local := NewLocal()
		seen := map[Tracker]Reading{local: read(t, local, on), redis: read(t, redis, on)}
		writers := []ID{{}, NewID(), NewID(), NewID()}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			writer := writers[rapid.IntRange(0, 3).Draw(rt, "writer")]
			step := rapid.SampledFrom([]string{"long", "short", "release"}).Draw(rt, "step")
			effective := rapid.Bool().Draw(rt, "effective")
			changed, closed := map[Tracker]bool{}, map[Tracker]string{}
			for c, before := range seen {
				switch step {
				case "long":
					markFor(t, c, on, writer, time.Hour)
				case "short": // has run out before the next step
					markFor(t, c, on, writer, 0)
				case "release":
					c.Release(on, writer, effective)
					redis.giveBackAll(t.Context())
				}
				after := read(t, c, on)
				changed[c], closed[c] = after.Stamp != before.Stamp, after.Closed
				seen[c] = after
			}
			if changed[local] != changed[redis] || closed[local] != closed[redis] {
				rt.Fatalf("%s: generation changed is %v in process and %v in Redis; closed is %q and %q", step, changed[local], changed[redis], closed[local], closed[redis])
			}
		}
	})
}
