package board_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/record"
	"osgate/telemetry/board"
)

func TestClientsShowWhatRemainsOfTheirQuota(t *testing.T) {
	charged := func(name string, remaining int) *record.Exchange {
		x := getKey()
		x.Principal, x.Quota, x.QuotaPeriod, x.QuotaFull, x.Remaining = name, 10, 4*time.Second, 15, remaining
		return x
	}
	refusal := charged("over", 0)
	refusal.Status, refusal.Code = 429, "over-quota"
	guess := charged("guess", 0)
	guess.Status, guess.Code, guess.Charged = 429, "over-quota", false
	free := charged("free", 0)
	free.Charged = false
	quota := func(remaining int, over bool) board.QuotaState {
		return board.QuotaState{Quota: 10, Period: 4, Burst: 15, Remaining: &remaining, Over: over}
	}
	for name, tt := range map[string]struct {
		keep []*record.Exchange
		wait time.Duration
		want board.QuotaState
	}{
		"as last charged":                              {[]*record.Exchange{charged("c", 9), charged("c", 7)}, time.Second, quota(7, false)},
		"nothing left":                                 {[]*record.Exchange{charged("c", 0)}, 3999 * time.Millisecond, quota(0, false)},
		"full after a period":                          {[]*record.Exchange{charged("c", 0)}, 4 * time.Second, quota(15, false)},
		"refused":                                      {[]*record.Exchange{refusal}, time.Second, quota(0, true)},
		"refused ten seconds ago":                      {[]*record.Exchange{refusal}, 10 * time.Second, quota(15, false)},
		"refused nine seconds ago":                     {[]*record.Exchange{refusal}, 9 * time.Second, quota(15, true)},
		"not charged leaves what was":                  {[]*record.Exchange{charged("free", 3), free}, time.Second, quota(3, false)},
		"no quota asked":                               {[]*record.Exchange{free}, time.Second, board.QuotaState{}},
		"an address that guesses is no client's quota": {[]*record.Exchange{guess}, time.Second, board.QuotaState{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := board.New(board.Gauges{})
				for _, x := range tt.keep {
					b.Keep(x)
				}
				pass(tt.wait)
				clients := b.Snapshot(time.Now()).Clients
				if len(clients) != 1 {
					t.Fatalf("clients %+v", clients)
				}
				if diff := cmp.Diff(tt.want, clients[0].QuotaState); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestHitsAreSavedAndForwardsAreUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		large, big := hit(), getKey()
		large.ResponseBytes, big.RequestBytes = 250_000, 100_001
		refreshed := hit() // a 304 to the client, with a fetch of the value in the background
		refreshed.Status, refreshed.UpstreamAttempts, refreshed.UpstreamStatus, refreshed.UpstreamBytes = 304, 1, 200, 1_000_000
		missing := hit() // a cached 404: it saves a request and no units
		missing.Status = 404
		stale := hit()
		stale.UpstreamAttempts, stale.UpstreamStatus = 1, 503
		failed := getKey()
		failed.Status, failed.UpstreamStatus = 500, 500
		left := getKey()
		left.Status = 499
		for _, x := range []*record.Exchange{hit(), large, missing, stale, big, failed, left, refreshed} {
			b.Keep(x)
		}
		pass(time.Second)
		s := b.Snapshot(time.Now())
		once := func(n int64) board.Count { return board.Count{PerSecond: float64(n), Window: n, Total: n} }
		if want := (board.Saved{Requests: once(3), Units: once(4)}); s.Saved != want {
			t.Errorf("saved %+v, want %+v", s.Saved, want)
		}
		if s.UpstreamUnits != once(13) || s.Upstream != once(5) {
			t.Errorf("upstream: %+v units of %+v requests, want 13 of 5", s.UpstreamUnits, s.Upstream)
		}
	})
}

func TestRefusalsByPolicyNameTheirRule(t *testing.T) {
	b := board.New(board.Gauges{})
	denied, over := refused("denied", 403), refused("over-quota", 429)
	denied.Rule, over.Rule = "no-deletes", "permit-all"
	b.Keep(denied)
	b.Keep(over)
	if got := b.Snapshot(time.Now()).Refusals; got[1].Rule != "no-deletes" || got[0].Rule != "" {
		t.Errorf("%+v, want the rule where policy refused", got)
	}
}

func TestRulesInShadowAndInErrorAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		keep := func(shadow, failing []string) {
			x := getKey()
			x.Shadow, x.PolicyErrors = shadow, failing
			b.Keep(x)
		}
		keep([]string{"old"}, []string{"broken"})
		keep([]string{"old"}, nil)
		pass(2 * time.Minute)
		keep([]string{"new", "old"}, nil)
		keep([]string{"new"}, nil)
		pass(time.Second)
		s := b.Snapshot(time.Now())
		want := []board.RuleCount{{Rule: "new", Window: 2, Total: 2}, {Rule: "old", Window: 1, Total: 3}}
		if diff := cmp.Diff(want, s.Shadow); diff != "" {
			t.Errorf("shadow (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]board.RuleCount{{Rule: "broken", Total: 1}}, s.PolicyErrors); diff != "" {
			t.Errorf("errors (-want +got):\n%s", diff)
		}
		for i := range 200 {
			keep([]string{fmt.Sprint("made-up-", i)}, nil)
		}
		pass(time.Second)
		if rows := b.Snapshot(time.Now()).Shadow; len(rows) != 64 || rows[0].Rule != "other" || rows[0].Window != 139 {
			t.Errorf("%d rules, first %+v; want 64, and 139 others", len(rows), rows[0])
		}
	})
}

func TestRegionsTellHowTheyDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		start := time.Now()
		keep := func(region string, change func(x *record.Exchange)) {
			x := getKey()
			x.Region, x.UpstreamDuration = region, 8*time.Millisecond
			change(x)
			b.Keep(x)
		}
		well := func(*record.Exchange) {}
		failing := func(x *record.Exchange) { x.Status, x.UpstreamStatus = 503, 503 }
		unreachable := func(x *record.Exchange) { x.Status, x.UpstreamStatus, x.Code = 502, 0, "upstream-unreachable" }
		stale := func(x *record.Exchange) { x.Hit, x.UpstreamStatus = true, 503 }
		keep("us-east-1", failing)
		keep("us-east-1", well)
		keep("us-east-1", func(x *record.Exchange) { x.Status, x.UpstreamStatus = 404, 404 })
		pass(10 * time.Second)
		keep("eu-west-1", unreachable)
		pass(time.Second)
		keep("eu-west-1", stale)
		keep("us-east-1", func(x *record.Exchange) { x.Status = 499 })         // the result is unknown
		keep("us-east-1", func(x *record.Exchange) { x.UpstreamAttempts = 0 }) // no request was sent
		keep("", well)                                                         // Access Management
		got := b.Snapshot(time.Now()).Regions
		for i := range got {
			if q := got[i].Latency; q.Count != got[i].Requests || q.P50 < 8 || q.P99 > 9 {
				t.Errorf("%s: latency %+v, want 8 ms of each request", got[i].Region, q)
			}
			got[i].Latency = board.Quantiles{}
		}
		if diff := cmp.Diff([]board.RegionCount{
			{Plane: "us", Region: "eu-west-1", Requests: 2, Failed: 2, Failing: start.Add(10 * time.Second)},
			{Plane: "us", Region: "us-east-1", Requests: 3, Failed: 1},
		}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		pass(50 * time.Second)
		if got := b.Snapshot(time.Now()).Regions; len(got) != 1 || got[0].Region != "eu-west-1" {
			t.Errorf("a minute after the last request to us-east-1: %+v", got)
		}
	})
}

func TestRegionsAreBounded(t *testing.T) {
	b := board.New(board.Gauges{})
	for i := range 100 {
		x := getKey()
		x.Region = fmt.Sprint("region-", i) + strings.Repeat("x", 1000)
		b.Keep(x)
	}
	if got := b.Snapshot(time.Now()).Regions; len(got) != 32 {
		t.Errorf("%d regions, want 32", len(got))
	}
}

func TestKeepAllocatesNothing(t *testing.T) {
	b := board.New(board.Gauges{})
	denied := refused("denied", 403)
	denied.Rule, denied.Shadow, denied.PolicyErrors = "no-deletes", []string{"a", "b"}, []string{"c"}
	for name, x := range map[string]*record.Exchange{"forwarded": getKey(), "hit": hit(), "denied": denied} {
		if n := testing.AllocsPerRun(1000, func() { b.Keep(x) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestARegionIsFailingThoughWhatIsStaleStandsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		x := hit()
		x.UpstreamAttempts, x.UpstreamDuration, x.UpstreamError = 1, 30*time.Second, "timeout"
		b.Keep(x)
		if got := b.Snapshot(time.Now()).Regions; len(got) != 1 || got[0].Failed != 1 || got[0].Failing.IsZero() {
			t.Errorf("regions %+v", got)
		}
	})
}
