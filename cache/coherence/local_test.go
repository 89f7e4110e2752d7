package coherence

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"
)

// few are bounds that are soon reached.
var few = localBounds{generations: 32, leased: 32}

// resource returns the n-th of any number of resources.
func resource(n int) Resources {
	var r Resource
	binary.BigEndian.PutUint32(r.Hash[:], uint32(n)*2654435761) // spread over the shards
	binary.BigEndian.PutUint32(r.Hash[4:], uint32(n))
	return Resources{list: [maxResources]Resource{r}, n: 1}
}

func read(t testing.TB, c Tracker, on Resources) Reading {
	t.Helper()
	r, err := c.Read(t.Context(), on)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func markFor(t testing.TB, c Tracker, on Resources, writer ID, lease time.Duration) {
	t.Helper()
	if err := c.Mark(t.Context(), on, writer, lease); err != nil {
		t.Fatal(err)
	}
}

func TestForgottenGenerationIsNeverTheSameAgain(t *testing.T) {
	c := newLocal(few)
	before := read(t, c, resource(0))
	if read(t, c, resource(0)) != before {
		t.Fatal("a generation changed by itself")
	}
	for n := 1; n <= 3*localShards*few.generations; n++ {
		read(t, c, resource(n))
	}
	if after := read(t, c, resource(0)); after.Stamp == before.Stamp {
		t.Error("a generation is kept beyond the bound")
	}
}

func TestGenerationForgottenUnderALeaseIsMadeAnew(t *testing.T) {
	c := newLocal(few)
	writer := NewID()
	markFor(t, c, resource(0), writer, time.Hour)
	for n := 1; n <= 3*localShards*few.generations; n++ {
		read(t, c, resource(n))
	}
	c.Release(resource(0), writer, true)
	if r := read(t, c, resource(0)); r.Closed != "" || r.Stamp.Generations[0] == (ID{}) {
		t.Errorf("got %+v, want it open under a generation", r)
	}
}

func TestGenerationInUseIsKept(t *testing.T) {
	c := newLocal(few)
	before := read(t, c, resource(0))
	for n := 1; n <= 3*localShards*few.generations; n++ {
		read(t, c, resource(n))
		if n%100 == 0 && read(t, c, resource(0)) != before {
			t.Fatalf("a generation in use was forgotten after %d others", n)
		}
	}
}

func TestLocalCoherenceIsBounded(t *testing.T) {
	c := newLocal(few)
	for n := range 3 * localShards * few.generations {
		on := resource(n)
		read(t, c, on)
		markFor(t, c, on, NewID(), time.Hour)
	}
	for i := range c.shards {
		if s := &c.shards[i]; s.ids.Len() > 2*few.generations || len(s.leases) > few.leased {
			t.Fatalf("shard %d remembers %d generations and %d leases", i, s.ids.Len(), len(s.leases))
		}
	}
}

func TestLeaseIsNeverForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLocal(few)
		many := 2 * localShards * few.leased
		for n := range many {
			markFor(t, c, resource(n), NewID(), time.Minute)
		}
		for n := range many + 10 {
			if r := read(t, c, resource(n)); r.Closed == "" {
				t.Fatalf("resource %d of %d leased ones is open", n, many)
			}
		}
		<-time.After(time.Minute)
		for n := range many {
			if r := read(t, c, resource(n)); r.Closed != "" {
				t.Fatalf("resource %d is closed as %s after all leases have run out", n, r.Closed)
			}
		}
	})
}

func TestWritesBeyondTheBoundCloseEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLocal(few)
		quiet := read(t, c, resource(-1))
		n := 0
		for ; read(t, c, resource(-1)) == quiet; n++ {
			markFor(t, c, resource(n), NewID(), time.Minute)
		}
		if r := read(t, c, resource(-1)); r.Closed != closedBySettling || r.Stamp.Epoch == quiet.Stamp.Epoch {
			t.Errorf("after %d leases: got %+v, want a new epoch that settles", n, r)
		}
		<-time.After(time.Minute)
		markFor(t, c, resource(n-1), NewID(), time.Minute) // room again: those that have run out are swept
		if r := read(t, c, resource(-1)); r.Closed != "" {
			t.Errorf("got %s after all leases have run out", r.Closed)
		}
	})
}

func TestManyWritersOfOneThingShareALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLocal(few)
		var ids []ID
		for range 10 * maxLeases {
			ids = append(ids, NewID())
			markFor(t, c, resource(0), ids[len(ids)-1], time.Minute)
		}
		if n := len(c.shard(resource(0).list[0]).leases[resource(0).list[0]]); n > maxLeases+1 {
			t.Errorf("%d leases are kept on one thing", n)
		}
		for _, id := range ids {
			c.Release(resource(0), id, true)
		}
		if r := read(t, c, resource(0)); r.Closed == "" {
			t.Error("open before the shared lease has run out")
		}
		<-time.After(time.Minute)
		if r := read(t, c, resource(0)); r.Closed != "" {
			t.Errorf("got %s after it has run out", r.Closed)
		}
	})
}

func TestResetKeepsLeasesAndSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newLocal(few)
		before := read(t, c, resource(0))
		markFor(t, c, resource(1), NewID(), time.Minute)
		if err := c.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := read(t, c, resource(0)); r.Closed != "" || r.Stamp == before.Stamp {
			t.Errorf("got %+v after a reset, want it open under another stamp", r)
		}
		if r := read(t, c, resource(1)); r.Closed != closedByWrite {
			t.Errorf("a reset ended a lease: %+v", r)
		}
		c.renew(time.Now().Add(time.Minute))
		_ = c.Reset(t.Context())
		if r := read(t, c, resource(0)); r.Closed != closedBySettling {
			t.Errorf("a reset ended the settling: %+v", r)
		}
	})
}

func TestLeaseWithoutRoomIsCounted(t *testing.T) {
	c := newLocal(few)
	for n := range 2 * localShards * few.leased {
		markFor(t, c, resource(n), NewID(), time.Hour)
	}
	if c.Settled() == 0 {
		t.Error("no lease is counted that there was no room for")
	}
}
