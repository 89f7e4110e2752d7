package cache

import (
	"testing"
	"time"

	"osgate/objectstore"
)

// TestWhatLandedBeforeBoardingIsNotFetchedTwice is about a read that found nothing stored just before a fetch of the same was stored and landed, and looks
// for a fetch to join just after.
func TestWhatLandedBeforeBoardingIsNotFetchedTwice(t *testing.T) {
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
	if r := late.fetch(t.Context(), Status{Forward: ForwardMiss}, now); r.Entry == nil || len(c.flights.flying) != 0 {
		t.Errorf("got %+v with %d fetches under way, want what is stored", r, len(c.flights.flying))
	}
}
