package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"osgate/admin"
	"osgate/auth"
	"osgate/internal/redisconn/redistest"
	"osgate/policy"
	"osgate/record"
	"osgate/regionmap"
	"osgate/stats"
	"osgate/telemetry/board"
)

var virginia = regionmap.Location{Plane: "us", Region: "us-east-1"}

func TestRegionIsJudgedByItsLastMinute(t *testing.T) {
	began := time.Now()
	for name, tt := range map[string]struct {
		requests, failed int64
		want             admin.State
		detail           string
	}{
		"all well":            {1000, 0, admin.PartOK, "Object Store answers"},
		"one of twenty":       {20, 1, admin.PartOK, "1 of 20 requests failed within the last minute"},
		"more than that":      {39, 2, admin.PartDegraded, "2 of 39 requests failed within the last minute"},
		"all but one":         {100, 99, admin.PartDegraded, "99 of 100 requests failed within the last minute"},
		"the only four":       {4, 4, admin.PartDegraded, "4 of 4 requests failed within the last minute"},
		"all of five or more": {5, 5, admin.PartDown, "5 of 5 requests failed within the last minute"},
	} {
		counts := []board.RegionCount{{Plane: "eu", Region: "us-east-1"}, {
			Plane: "us", Region: "us-east-1", Requests: tt.requests, Failed: tt.failed, Failing: began,
			Latency: board.Quantiles{Count: tt.requests, P50: 1, P95: 2, P99: 3},
		}}
		got := regionsHealth(counts, []regionmap.ReachState{{Location: virginia, OK: true, Breaker: "closed"}})
		want := []admin.Part{{
			Name: "region us/us-east-1", State: tt.want, Detail: tt.detail, Requests: &tt.requests, Errors: &tt.failed, Breaker: "closed",
			Latency: &admin.Latency{Count: tt.requests, P50: 1, P95: 2, P99: 3},
		}}
		if tt.want != admin.PartOK {
			want[0].Since = began
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestARegionThatIsGoneIsDownUntilItIsBack checks an unreachable region with and
// without requests in the last minute. A reachable region without requests is idle.
func TestARegionThatIsGoneIsDownUntilItIsBack(t *testing.T) {
	since, ohio := time.Now(), regionmap.Location{Plane: "us", Region: "us-east-2"}
	reached := []regionmap.ReachState{
		{Location: virginia, Since: since, LastError: "dial tcp: i/o timeout", Breaker: "open"},
		{Location: ohio, OK: true, Breaker: "closed"},
	}
	for _, asked := range []int64{0, 1, 100} {
		var counts []board.RegionCount
		if asked > 0 {
			counts = append(counts, board.RegionCount{Plane: "us", Region: "us-east-1", Requests: asked})
		}
		got := regionsHealth(counts, reached)
		want := []admin.Part{{
			Name: "region us/us-east-1", State: admin.PartDown, Detail: "Connections to it fail: dial tcp: i/o timeout", Since: since, Breaker: "open",
			Requests: &asked, Errors: new(int64),
		}, {
			Name: "region us/us-east-2", State: admin.PartIdle, Detail: "No request within the last minute", Breaker: "closed", Requests: new(int64), Errors: new(int64),
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d requests (-want +got):\n%s", asked, diff)
		}
	}
}

func TestPartsDescribeTheirProblems(t *testing.T) {
	now := time.Now()
	asked := board.Quantiles{Count: 1}
	failing := board.Snapshot{PolicyErrors: []board.RuleCount{{Rule: "a", Window: 2}, {Rule: "old", Total: 9}}}
	for name, tt := range map[string]struct {
		got    admin.Part
		state  admin.State
		detail string
		since  time.Time
	}{
		"plane":              {planeHealth(auth.PlaneState{Plane: "us", OK: true, Since: now}, asked), admin.PartOK, "identifies tokens", now},
		"plane, not asked":   {planeHealth(auth.PlaneState{Plane: "us", OK: true, Since: now}, board.Quantiles{}), admin.PartIdle, "No request", time.Time{}},
		"plane, down":        {planeHealth(auth.PlaneState{Plane: "us", Since: now, LastError: "no route"}, asked), admin.PartDown, "no route", now},
		"statistics":         {statisticsHealth(stats.Status{Flushed: now.Add(-2 * time.Second)}, false, now), admin.PartOK, "2 s ago", time.Time{}},
		"statistics, down":   {statisticsHealth(stats.Status{Flushed: now.Add(-8 * time.Second), Down: now, Err: errors.New("disk full")}, true, now), admin.PartDown, "8 s wait in memory: disk full", now},
		"statistics, losing": {statisticsHealth(stats.Status{Flushed: now, Coarsened: 4, Dropped: 7}, true, now), admin.PartDegraded, "0 s ago; of more places at a time than fit, 4 exchanges were counted without their store and 7 not at all", time.Time{}},
		"statistics, lost":   {statisticsHealth(stats.Status{Flushed: now, Coarsened: 4}, false, now), admin.PartOK, "4 exchanges were counted without their store and 0 not at all", time.Time{}},
		"policy":             {policyHealth(policy.State{Rules: 3, Shadowed: 1, Loaded: now}, board.Snapshot{}), admin.PartOK, "3 rules, 1 of them in shadow", now},
		"no policy":          {policyHealth(policy.State{}, board.Snapshot{}), admin.PartIdle, "none", time.Time{}},
		"policy, errors":     {policyHealth(policy.State{Rules: 3, Loaded: now}, failing), admin.PartDegraded, "1 rules could not be evaluated within the last minute: a", time.Time{}},
		"policy, unread":     {policyHealth(policy.State{Rules: 3, Err: errors.New("line 4"), Since: now}, failing), admin.PartDegraded, "line 4", now},
	} {
		if tt.got.State != tt.state || !strings.Contains(tt.got.Detail, tt.detail) || !tt.got.Since.Equal(tt.since) {
			t.Errorf("%s: %+v, want %s, %q, since %v", name, tt.got, tt.state, tt.detail, tt.since)
		}
	}
}

func TestLossesOfTheLastMinuteDegradeTheStatistics(t *testing.T) {
	now, l := time.Now(), losses{}
	for _, tt := range []struct {
		after              time.Duration
		coarsened, dropped uint64
		want               bool
	}{
		{0, 0, 0, false},
		{10 * time.Second, 1, 0, true},
		{59 * time.Second, 1, 0, true},
		{69 * time.Second, 1, 0, true},
		{70 * time.Second, 1, 0, false},
		{80 * time.Second, 1, 1, true},
		{130 * time.Second, 1, 2, true},
		{189 * time.Second, 1, 2, true},
		{190 * time.Second, 1, 2, false},
	} {
		if got := l.recent(stats.Status{Coarsened: tt.coarsened, Dropped: tt.dropped}, now.Add(tt.after)); got != tt.want {
			t.Errorf("after %v, with %d coarsened and %d dropped: %v, want %v", tt.after, tt.coarsened, tt.dropped, got, tt.want)
		}
	}
}

func TestReadinessDescribesProblemsOfTheStatistics(t *testing.T) {
	failing := stats.Status{Err: errors.New("dial 10.0.0.1"), Down: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	const waits, loses = "counts cannot be stored since 2026-01-02T03:04:05Z; they wait in memory", "there are more places at a time than can be counted: exchanges are counted without their store, or not at all"
	const gaveUp = "a statistics file was damaged or replaced while it was in use: 7 operations are no longer counted"
	for name, tt := range map[string]struct {
		s      stats.Status
		losing bool
		want   string
	}{
		"nothing": {stats.Status{Dropped: 7}, false, ""}, "failing": {failing, false, waits},
		"losing": {stats.Status{}, true, loses}, "a file": {stats.Status{Lost: 7}, true, gaveUp}, "long ago": {stats.Status{Lost: 7}, false, ""},
		"a file and places": {stats.Status{Lost: 7, Dropped: 1}, true, gaveUp + "; " + loses},
		"both":              {failing, true, waits + "; " + loses},
	} {
		if got, ok := statisticsReason(tt.s, tt.losing); got.Detail != tt.want || got.Part != "statistics" || ok != (tt.want != "") {
			t.Errorf("%s: %+v, %v; want %q", name, got, ok, tt.want)
		}
	}
}

// A counter with room for one place loses the counts of others.
func TestReadinessAndPageReportLostCounts(t *testing.T) {
	g, err := New(Options{Config: configured(t), Logger: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(g.clients.Close(), g.admin.Close(), g.shut()) })
	g.phase.Store(phaseServing)
	if r := g.readiness(); r.Status != admin.Ready {
		t.Fatalf("%+v", r)
	}
	small := stats.New(stats.Options{Store: stats.NewMemory(stats.MemoryOptions{}), MaxSeries: 1})
	for i := range 9 {
		small.Keep(&record.Exchange{
			Plane: "us", Organization: fmt.Sprint("org-", i), Environment: "env", Region: "us-east-1", Store: "store",
			Surface: record.SurfaceObjectStore, Operation: "getKey", Status: http.StatusOK, Start: time.Now(),
		})
	}
	g.stats = small
	if s := small.Status(); s.Dropped == 0 {
		t.Fatalf("nothing is lost: %+v", s)
	}
	health, _, _ := g.overview(time.Now())
	if r := g.readiness(); r.Status != admin.Degraded || len(r.Reasons) != 1 || r.Reasons[0].Part != "statistics" || health.Status != admin.Degraded {
		t.Errorf("readiness %+v, health %+v; want both degraded", r, health)
	}
}

func TestBytesAreWrittenForPeople(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 17: "17 B", 1023: "1023 B", 1024: "1.0 KiB", 2500: "2.4 KiB", 200 << 10: "200 KiB", 1 << 20: "1.0 MiB", 64<<20 + 1: "64.0 MiB", 5 << 40: "5.0 TiB", 1 << 60: "1048576 TiB",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
}

// shown holds the fields of the overview that these tests read.
type shown struct {
	Health  admin.Health
	Traffic struct {
		Saved         board.Saved
		UpstreamUnits board.Count
		Clients       []board.ClientCount
	}
}

// overviewOf reads the overview until done returns true.
func overviewOf(t *testing.T, g *started, done func(shown) bool) shown {
	t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for {
		status, body := get(t, http.DefaultClient, g.AdminURL()+"/api/overview", "")
		var o shown
		if err := json.Unmarshal([]byte(body), &o); err != nil || status != http.StatusOK {
			t.Fatalf("overview %d, %v: %s", status, err, body)
		}
		if done(o) {
			return o
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the overview stays %s", body)
		}
	}
}

func TestOverviewOfAGatewayWithTraffic(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	redis := redistest.Start(t)
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_REDIS_URL="+redis.URL(), "OSGATE_RATE=20", "OSGATE_RATE_BURST=30"))
	token := mint(t, http.DefaultClient, g.ClientsURL())
	for range 3 {
		if status, body := get(t, http.DefaultClient, g.ClientsURL()+key, token); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	o := overviewOf(t, g, func(o shown) bool { return len(o.Traffic.Clients) > 0 && o.Traffic.UpstreamUnits.Total > 1 }) // names show when their second is over
	twice := int64(2)                                                                                                    // the value, and the store for its TTL
	want := admin.Health{
		Status: admin.Ready, Summary: "Everything works", Reasons: []admin.Reason{},
		Parts: []admin.Part{
			{Name: "redis", State: admin.PartOK, Breaker: "closed"},
			{Name: "control plane us", State: admin.PartOK, Breaker: "closed"},
			{Name: "region us/us-east-1", State: admin.PartOK, Breaker: "closed", Requests: &twice, Errors: new(int64)},
			{Name: "statistics", State: admin.PartOK},
			{Name: "cache", State: admin.PartOK},
			{Name: "policy", State: admin.PartIdle},
		},
	}
	if diff := cmp.Diff(want, o.Health, cmpopts.IgnoreFields(admin.Part{}, "Detail", "Since", "Latency")); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
	for _, p := range o.Health.Parts[:3] {
		if p.Latency == nil || p.Latency.Count == 0 || p.Latency.P99 <= 0 {
			t.Errorf("%s: latency %+v, want some", p.Name, p.Latency)
		}
	}
	if o.Traffic.Saved.Requests.Total != 2 || o.Traffic.Saved.Units.Total != 2 || o.Traffic.UpstreamUnits.Total != 2 {
		t.Errorf("saved %+v, upstream units %+v; want 2, 2 and 2", o.Traffic.Saved, o.Traffic.UpstreamUnits)
	}
	if c := o.Traffic.Clients[0]; c.Quota != 20 || c.Period != 1 || c.Burst != 30 || c.Remaining == nil || *c.Remaining < 27 || *c.Remaining > 30 || c.Over {
		t.Errorf("client %+v, want 20 a second and a burst of 30, of which at least 27 remain", c)
	}
}

func TestOverviewShowsThatRedisIsUnavailable(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	redis := redistest.Start(t)
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_REDIS_URL="+redis.URL()))
	redis.Stop()
	o := overviewOf(t, g, func(o shown) bool { return o.Health.Status == admin.Degraded })
	if p := o.Health.Parts[0]; p.Name != "redis" || p.State != admin.PartDown || p.Breaker == "closed" || p.Since.IsZero() || o.Health.Reasons[0].Part != "redis" {
		t.Errorf("%+v", o.Health)
	}
	redis.Restart()
	overviewOf(t, g, func(o shown) bool { return o.Health.Parts[0].State == admin.PartOK })
}

func TestHistoryComesFromTheStatistics(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL))
	token := mint(t, http.DefaultClient, g.ClientsURL())
	for range 2 {
		get(t, http.DefaultClient, g.ClientsURL()+key, token)
	}
	if err := g.stats.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sums := admin.Sums{Client: 2, Upstream: 2, ClientUnits: 2, UpstreamUnits: 2} // one of upstream's is the gateway's own, for the store's TTL
	for query, child := range map[string]string{
		"": "org-root", "?plane=us&organization=org-root": "env-prod", "?plane=us&organization=org-root&environment=env-prod&period=1day": "us-east-1",
	} {
		status, body := get(t, http.DefaultClient, g.AdminURL()+"/api/history"+query, "")
		var h admin.History
		if err := json.Unmarshal([]byte(body), &h); err != nil || status != http.StatusOK || len(h.Buckets) == 0 {
			t.Fatalf("%s: %d, %v: %s", query, status, err, body)
		}
		if diff := cmp.Diff([]admin.Child{{Plane: "us", Name: child, Sums: sums}}, h.Children); diff != "" {
			t.Errorf("%s: children (-want +got):\n%s", query, diff)
		}
		if last := h.Buckets[len(h.Buckets)-1]; last.Sums != sums {
			t.Errorf("%s: the last bucket is %+v, want %+v", query, last, sums)
		}
	}
	g.histories.mu.Lock()
	if got := len(g.histories.held); got != 3 {
		t.Errorf("%d histories are held for other viewers, want 3", got)
	}
	g.histories.mu.Unlock()
	for query, field := range map[string]string{"?organization=org-root": "plane", "?period=1year": "period", "?from=1999-01-01T00:00:00Z": "to"} {
		status, body := get(t, http.DefaultClient, g.AdminURL()+"/api/history"+query, "")
		if status != http.StatusBadRequest || !strings.Contains(body, `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s, want 400 with the field %s", query, status, body, field)
		}
	}
}
