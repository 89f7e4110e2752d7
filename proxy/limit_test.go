package proxy

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
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

// TestResponseHeadersHaveTheRemainingQuota sends two requests, two and a half seconds apart, with a
// quota of ten in a minute. With a burst, a unit becomes available every six seconds.
// In a window, the first unit becomes available a minute after it was taken, and all
// are available a minute after the second.
func TestResponseHeadersHaveTheRemainingQuota(t *testing.T) {
	for name, tt := range map[string]struct {
		change       func(*Options)
		first, then  string // RateLimit
		reset, later int64  // X-RateLimit-Reset, in seconds after the first request
	}{
		"gcra":   {func(*Options) {}, `"client";r=9;t=6`, `"client";r=8;t=4`, 6, 12},
		"window": {window, `"client";r=9;t=60`, `"client";r=8;t=58`, 60, 63},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, func(o *Options) {
					o.Quota = func(string) ratelimit.Quota { return ratelimit.Quota{Rate: 10, Period: time.Minute, Burst: 10} }
				}, tt.change)
				start := time.Now().Unix() // a bubble begins at a whole second
				for i, want := range []struct {
					state string
					reset int64
				}{{tt.first, tt.reset}, {tt.then, tt.later}} {
					h := g.get("one", keyPath).Header()
					if got := h.Get("RateLimit"); got != want.state {
						t.Errorf("request %d: RateLimit %s, want %s", i, got, want.state)
					}
					if got := h.Get("X-RateLimit-Reset"); got != strconv.FormatInt(start+want.reset, 10) {
						t.Errorf("request %d: X-RateLimit-Reset %s, want %d, %d s after the first request", i, got, start+want.reset, want.reset)
					}
					<-time.After(2500 * time.Millisecond)
				}
			})
		})
	}
}

// TestThePolicyIsTheQuotaThatCanRemain checks that the policy has whole seconds and
// states no higher rate than the one that is granted.
func TestThePolicyIsTheQuotaThatCanRemain(t *testing.T) {
	const ms = time.Millisecond
	for want, tt := range map[string]struct {
		quota ratelimit.Quota
		limit string
		first string // RateLimit
	}{
		"q=10;w=1":    {ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 10}, "10", "r=9;t=1"},
		"q=20;w=1":    {ratelimit.Quota{Rate: 20, Period: time.Second, Burst: 3}, "20", "r=2;t=1"},
		"q=100;w=10":  {ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 100}, "100", "r=99;t=1"},
		"q=30;w=2":    {ratelimit.Quota{Rate: 15, Period: time.Second, Burst: 16}, "30", "r=15;t=1"},
		"q=50;w=1":    {ratelimit.Quota{Rate: 5, Period: 100 * ms, Burst: 5}, "50", "r=4;t=1"},
		"q=13;w=2":    {ratelimit.Quota{Rate: 10, Period: 1500 * ms, Burst: 10}, "13", "r=9;t=1"},
		"q=3;w=1":     {ratelimit.Quota{Rate: 1, Period: 300 * ms, Algorithm: ratelimit.AlgorithmWindow}, "3", "r=0;t=1"},
		"q=10;w=3600": {ratelimit.Quota{Rate: 10, Period: time.Hour, Burst: 100, Algorithm: ratelimit.AlgorithmWindow}, "10", "r=9;t=3600"},
	} {
		h := newRig(t, func(o *Options) { o.Quota = func(string) ratelimit.Quota { return tt.quota } }).get("one", keyPath).Header()
		if policy, state := h.Get("RateLimit-Policy"), h.Get("RateLimit"); policy != `"client";`+want || state != `"client";`+tt.first {
			t.Errorf("%+v: RateLimit-Policy %s, RateLimit %s; want %s and %s", tt.quota, policy, state, want, tt.first)
		}
		if limit := h.Get("X-RateLimit-Limit"); limit != tt.limit {
			t.Errorf("%+v: X-RateLimit-Limit %s, want %s", tt.quota, limit, tt.limit)
		}
	}
}

func TestExplainTellsTheQuotaByItsAlgorithm(t *testing.T) {
	for want, tt := range map[string]struct {
		burst   int
		change  func(*Options)
		warning string
	}{
		"10 in 1s, burst 3": {3, func(*Options) {}, "up to 12 in the first 1s after a rest; where upstream's limit is flat, choose OSGATE_RATE_ALGORITHM=window"},
		"10 in 1s, burst 1": {1, func(*Options) {}, ""},
		"10 in any 1s":      {3, window, ""},
	} {
		g := newRig(t, quota(10, tt.burst), tt.change)
		if e := g.Explain(request(t, "GET "+keyPath), auth.Caller{Name: "app-one"}); e.Quota != want || e.QuotaWarning != tt.warning {
			t.Errorf("quota %q, warning %q; want %q and %q", e.Quota, e.QuotaWarning, want, tt.warning)
		}
	}
}

func TestExplainTellsWhatIsNeverCached(t *testing.T) {
	g := newRig(t)
	for head, want := range map[string]string{"GET " + keyPath: "10s", "GET " + storePath: "1m0s", "PUT " + keyPath: "never"} {
		if e := g.Explain(request(t, head), auth.Caller{Name: "app-one"}); e.Cache != want || (e.CacheKey == "") != (want == "never") {
			t.Errorf("%s: cache %q, key %q; want %q", head, e.Cache, e.CacheKey, want)
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
