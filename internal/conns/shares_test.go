package conns

import "testing"

// TestSharesLeaveRoomForAllParts of a process, within its descriptors.
func TestSharesLeaveRoomForAllParts(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]Shares{
		256:       {Process: 32, Admin: 32, Redis: 64, Upstream: 44, Clients: 84},
		1024:      {Process: 64, Admin: 64, Redis: 256, Upstream: 214, Clients: 426},
		20_000:    {Process: 64, Admin: 64, Redis: 384, Upstream: 6496, Clients: 12_992 - 0},
		1_048_576: {Process: 64, Admin: 64, Redis: 384, Upstream: 1_028_064, Clients: 20_000},
	} {
		if got := SharesOf(limit, 0, true); got != want || got.Sum() != limit {
			t.Errorf("of %d: %+v, together %d, want %+v", limit, got, got.Sum(), want)
		}
	}
	for limit := 64; limit < 2_000_000; limit += 61 {
		for _, redis := range []bool{false, true} {
			s := SharesOf(limit, 0, redis)
			if s.Sum() > limit || min(s.Process, s.Admin, s.Upstream, s.Clients) < leastShare {
				t.Fatalf("of %d: %+v, together %d", limit, s, s.Sum())
			}
		}
	}
}

// TestSharesAreOfWhatIsAskedFor if the number of connections is set, and leave some
// descriptors for upstream even if it is too large.
func TestSharesAreOfWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	if got, want := SharesOf(1024, 500, false), (Shares{Process: 64, Admin: 64, Upstream: 396, Clients: 500}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := SharesOf(1024, 5000, false), (Shares{Process: 64, Admin: 64, Upstream: 8, Clients: 5000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
