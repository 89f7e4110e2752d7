package proxy

import (
	"testing"
	"time"
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
