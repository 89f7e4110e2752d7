package admin_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/admin"
)

func TestHealthListsAllProblems(t *testing.T) {
	redis := admin.Reason{Part: "redis", Detail: "nothing is answered from cache"}
	down := admin.Part{Name: "redis", State: admin.PartDown, Detail: "no answer within 50ms"}
	region := admin.Part{Name: "region us/us-east-1", State: admin.PartDegraded, Detail: "3 of 9 failed"}
	well := []admin.Part{{Name: "redis", State: admin.PartOK}, {Name: "cache", State: admin.PartIdle}}
	for name, tt := range map[string]struct {
		ready   admin.Status
		reasons []admin.Reason
		parts   []admin.Part
		status  admin.Status
		summary string
		want    []admin.Reason
	}{
		"all is well":                         {admin.Ready, nil, well, admin.Ready, "Everything works", []admin.Reason{}},
		"no parts at all":                     {admin.Ready, nil, nil, admin.Ready, "Everything works", []admin.Reason{}},
		"a part that is a reason too":         {admin.Degraded, []admin.Reason{redis}, []admin.Part{down}, admin.Degraded, "Redis is down", []admin.Reason{redis}},
		"a part of which readiness is silent": {admin.Ready, nil, []admin.Part{region}, admin.Degraded, "Region us/us-east-1 is degraded", []admin.Reason{{Part: region.Name, Detail: region.Detail}}},
		"both": {
			admin.Degraded, []admin.Reason{redis}, []admin.Part{down, region}, admin.Degraded,
			"Redis is down, region us/us-east-1 is degraded", []admin.Reason{redis, {Part: region.Name, Detail: region.Detail}},
		},
		"a reason of no part": {admin.Degraded, []admin.Reason{redis}, well, admin.Degraded, "Redis is degraded", []admin.Reason{redis}},
		"starting":            {admin.Starting, nil, well, admin.Starting, "Starting: requests are not served yet", []admin.Reason{}},
		"draining, in trouble": {
			admin.Draining, nil, []admin.Part{region}, admin.Draining, "Stopping: current requests are finished, new ones are refused",
			[]admin.Reason{{Part: region.Name, Detail: region.Detail}},
		},
	} {
		got := admin.NewHealth(admin.Readiness{Status: tt.ready, Reasons: tt.reasons}, tt.parts)
		want := admin.Health{Status: tt.status, Summary: tt.summary, Reasons: tt.want, Parts: append([]admin.Part{}, tt.parts...)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPartLeavesOutWhatIsUnknown(t *testing.T) {
	zero := int64(0)
	for want, p := range map[string]admin.Part{
		`{"part":"cache","state":"idle","detail":"d"}`: {Name: "cache", State: admin.PartIdle, Detail: "d"},
		`{"part":"redis","state":"down","detail":"d","since":"2026-01-02T03:04:05Z","latencyMs":{"count":2,"p50":0.5,"p95":1,"p99":2},"breaker":"open","requests":0,"errors":0}`: {
			Name: "redis", State: admin.PartDown, Detail: "d", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Latency: &admin.Latency{Count: 2, P50: 0.5, P95: 1, P99: 2}, Breaker: "open", Requests: &zero, Errors: &zero,
		},
	} {
		if got, err := json.Marshal(p); err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}
