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
		if got := SharesOf(Uses{Limit: limit, Redis: true}); got != want || got.Sum() != limit {
			t.Errorf("of %d: %+v, together %d, want %+v", limit, got, got.Sum(), want)
		}
	}
	for limit := 64; limit < 2_000_000; limit += 61 {
		for _, used := range []Uses{{}, {Redis: true}, {Metrics: true}, {Redis: true, Metrics: true}} {
			used.Limit = limit
			s := SharesOf(used)
			if s.Sum() > limit || min(s.Process, s.Admin, s.Upstream, s.Clients) < leastShare {
				t.Fatalf("of %d: %+v, together %d", limit, s, s.Sum())
			}
			if used.Metrics != (s.Metrics >= leastShare) || used.Redis != (s.Redis >= leastShare) {
				t.Fatalf("of %+v: %+v, want a share for what is used", used, s)
			}
		}
	}
}

// TestSharesAreOfWhatIsAskedFor if the number of connections is set, and leave some
// descriptors for upstream even if it is too large.
func TestSharesAreOfWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	if got, want := SharesOf(Uses{Limit: 1024, Clients: 500}), (Shares{Process: 64, Admin: 64, Upstream: 396, Clients: 500}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := SharesOf(Uses{Limit: 1024, Clients: 5000}), (Shares{Process: 64, Admin: 64, Upstream: 8, Clients: 5000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
