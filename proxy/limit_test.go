package proxy

import (
	"testing"
	"time"

	"osgate/ratelimit"
)

func TestSecondsAreRoundedUpButForMicroseconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		-time.Second: 0, 0: 0, 1: 1, 2 * time.Microsecond: 1, time.Second: 1, time.Second + 2*time.Microsecond: 1, time.Second + time.Millisecond: 1,
		time.Second + 2*time.Millisecond: 2, 1500 * time.Millisecond: 2, time.Hour + 2*time.Microsecond: 3600,
	} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}

// TestRateLimitTellsWhenMoreComes: with a burst a unit comes back after its share of the period, in a window none before its period is over.
func TestRateLimitTellsWhenMoreComes(t *testing.T) {
	minute := func(o *Options) {
		o.Quota = func(string) ratelimit.Quota { return ratelimit.Quota{Rate: 10, Period: time.Minute, Burst: 10} }
	}
	for want, change := range map[string]func(*Options){
		`"client";r=9;t=6`:  func(*Options) {},
		`"client";r=9;t=60`: window,
	} {
		g := newRig(t, minute, change)
		if got := g.get("one", keyPath).Header().Get("RateLimit"); got != want {
			t.Errorf("RateLimit %s, want %s", got, want)
		}
	}
}

func TestExplainTellsTheQuotaByItsAlgorithm(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"10 in 1s, burst 3": func(*Options) {},
		"10 in any 1s":      window,
	} {
		g := newRig(t, quota(10, 3), change)
		if e := g.Explain(request(t, "GET "+keyPath), "app-one"); e.Quota != want {
			t.Errorf("quota %q, want %q", e.Quota, want)
		}
	}
}

func TestExchangeTellsWhatRemainsOfItsQuota(t *testing.T) {
	type told struct {
		quota, full, remaining int
		period                 time.Duration
	}
	for name, tt := range map[string]struct {
		change func(*Options)
		want   []told
	}{
		"a burst":  {func(*Options) {}, []told{{10, 3, 2, time.Second}, {10, 3, 1, time.Second}}},
		"a window": {window, []told{{10, 10, 9, time.Second}, {10, 10, 8, time.Second}}},
	} {
		g := newRig(t, quota(10, 3), tt.change)
		for i, want := range tt.want {
			g.get("one", keyPath)
			if x := g.last(); (told{x.Quota, x.QuotaFull, x.Remaining, x.QuotaPeriod}) != want {
				t.Errorf("%s, exchange %d: %d of %d (%d) in %v, want %+v", name, i, x.Remaining, x.Quota, x.QuotaFull, x.QuotaPeriod, want)
			}
		}
	}
	g := newRig(t, quota(0, 0))
	g.get("one", keyPath)
	if x := g.last(); x.Quota != 0 || x.QuotaPeriod != 0 {
		t.Errorf("without a quota: %d in %v", x.Quota, x.QuotaPeriod)
	}
}
