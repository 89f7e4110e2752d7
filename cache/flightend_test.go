package cache

import (
	"context"
	"net/http"
	"testing"
	"time"

	"osgate/cache/httpcache"
	"osgate/objectstore"
)

// TestAFetchThatEndedBeforeJoiningIsNotRepeated: a read finds no entry just before a
// fetch of the same is stored and ends, and tries to join that fetch just after.
func TestAFetchThatEndedBeforeJoiningIsNotRepeated(t *testing.T) {
	c, err := New(Options{KeyTTL: time.Minute, Bytes: 1 << 20, EntryBytes: 1 << 16, GrantTTL: time.Minute, WriteLease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	o, err := objectstore.Parse("GET", "/api/v1/organizations/o/environments/e/stores/s/partitions/p/keys/k", "")
	if err != nil {
		t.Fatal(err)
	}
	q := Question{Location: "us/us-east-1", Operation: o}
	now := time.Now()
	first, late := c.Prepare(q), c.Prepare(q)
	f := first.Look(t.Context(), now).Fill
	if r := late.Look(t.Context(), now); !r.Wait { // so that it has its stamp
		t.Fatalf("got %+v", r)
	}
	f.Response(200, nil, 1)
	_, _ = f.Write([]byte("v"))
	c.Grant(q, now)
	f.Close(true)
	if r := late.fetch(t.Context(), httpcache.Status{Forward: httpcache.ForwardMiss}, now); r.Entry == nil || len(c.flights.active) != 0 {
		t.Errorf("got %+v with %d fetches under way, want the stored entry", r, len(c.flights.active))
	}
}

// elsewhereShared has one entry of another replica, and runs a function before it
// returns it.
type elsewhereShared struct {
	before func()
	entry  *Entry
}

func (s *elsewhereShared) Find(context.Context, [32]byte) *Entry {
	s.before()
	return s.entry
}
func (s *elsewhereShared) Keep([32]byte, *Entry) {}
func (s *elsewhereShared) Stats() SharedStats    { return SharedStats{} }

func TestFollowersGetWhatTheirLeaderFindsAtAnotherReplica(t *testing.T) {
	shared := &elsewhereShared{}
	c, err := New(Options{KeyTTL: time.Minute, Bytes: 1 << 20, EntryBytes: 1 << 16, GrantTTL: time.Minute, WriteLease: time.Minute, Shared: shared})
	if err != nil {
		t.Fatal(err)
	}
	o, err := objectstore.Parse("GET", "/api/v1/organizations/o/environments/e/stores/s/partitions/p/keys/k", "")
	if err != nil {
		t.Fatal(err)
	}
	q := Question{Location: "us/us-east-1", Operation: o}
	now := time.Now()
	c.Grant(q, now)
	leader, follower := c.Prepare(q), c.Prepare(q)
	shared.before = func() {
		if r := follower.Look(t.Context(), now); !r.Wait {
			t.Errorf("the follower got %+v, want to wait for its leader", r)
		}
	}
	shared.entry = &Entry{Response: httpcache.Response{Status: 200, Header: http.Header{}, Body: []byte("v"), RequestedAt: now, Lifetime: time.Minute}}
	if r := leader.Look(t.Context(), now); r.Entry == nil {
		t.Fatalf("the leader got %+v, want the entry of the other replica", r)
	}
	r, err := follower.Follow(t.Context(), time.Minute)
	if err != nil || r.Entry == nil || r.Fill != nil {
		t.Errorf("the follower got %+v, %v; want the same entry", r, err)
	}
}

// A fetch that no other request joins makes two allocations: the flight, and its key in
// the map.
func TestAFlightWithoutFollowersMakesNoChannel(t *testing.T) {
	fs := newFlights()
	if n := testing.AllocsPerRun(100, func() {
		f, _ := fs.join(flightKey{}, true, true)
		fs.finish(f, flightResult{})
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
