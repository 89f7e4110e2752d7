package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/record"
	"osgate/telemetry/export"
)

// span is a span in the format of the console exporter.
type span struct {
	Name                string
	SpanContext, Parent struct{ TraceID, SpanID string }
	SpanKind            int
	StartTime, EndTime  time.Time
	Status              struct{ Code string }
	Attributes          []struct {
		Key   string
		Value struct{ Value any }
	}
}

// attributes returns the span's attributes by name.
func (s span) attributes() map[string]any {
	all := map[string]any{}
	for _, a := range s.Attributes {
		all[a.Key] = a.Value.Value
	}
	return all
}

// environment returns a getenv function for variables.
func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

// tracer opens traces to the console. end returns all exported spans.
func tracer(t *testing.T, sampler string, o export.TracesOptions) (traces *export.Traces, end func() []span) {
	t.Helper()
	variables := map[string]string{"OTEL_TRACES_EXPORTER": "console"}
	variables["OTEL_TRACES_SAMPLER"], variables["OTEL_TRACES_SAMPLER_ARG"], _ = strings.Cut(sampler, "=")
	plan, err := export.ReadPlan(environment(variables))
	if err != nil {
		t.Fatal(err)
	}
	var console bytes.Buffer
	quiet := slog.New(slog.DiscardHandler)
	exports, err := export.Open(t.Context(), plan, export.Options{Console: &console, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	traces = exports.NewTraces(o)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- exports.Run(ctx) }()
	return traces, func() (spans []span) {
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
		for d := json.NewDecoder(&console); d.More(); {
			var s span
			if err := d.Decode(&s); err != nil {
				t.Fatal(err)
			}
			spans = append(spans, s)
		}
		return spans
	}
}

const callerTraceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// called returns a sampled trace of a caller.
func called(t *testing.T) record.Trace {
	t.Helper()
	parent, ok := record.ReadTrace(map[string][]string{"Traceparent": {callerTraceparent}})
	if !ok {
		t.Fatal("the test's traceparent is invalid")
	}
	return parent
}

// journey returns an exchange that passed the quota, missed the cache, was refused once
// by upstream, waited and was answered.
func journey(place record.Trace) *record.Exchange {
	x := &record.Exchange{
		ID: "r1", Start: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Duration: 900 * time.Millisecond, Method: "GET", Route: "/stores/{storeId}",
		Surface: record.SurfaceObjectStore, Operation: "getKey", ClientAddr: "192.0.2.1", RemoteAddr: "192.0.2.2", Protocol: "1.1",
		Plane: "us", Region: "us-east-1", Organization: "org", Environment: "env", Store: "a-secret-store", Principal: "a-secret-client",
		Status: 200, Cache: record.CacheResult{Forward: record.ForwardMiss, Stored: true}, UpstreamAttempts: 2, UpstreamStatus: 200, Charged: true, Waited: 500 * time.Millisecond, Trace: place,
		Cause: "a-secret-cause", Rule: "rule-1", IdentifiedBy: "jwt", UpstreamClient: "gateway-app",
		Attempts: []record.Attempt{
			{Span: [8]byte{1}, Start: 20 * time.Millisecond, Duration: 10 * time.Millisecond, Status: 429},
			{Span: [8]byte{2}, Start: 540 * time.Millisecond, Duration: 300 * time.Millisecond, Status: 200, Resend: 1},
		},
	}
	for _, v := range []struct {
		stage record.Stage
		ms    int
	}{
		{record.StageIdentify, 1}, {record.StageAuthorize, 2}, {record.StageLimit, 3}, {record.StageCache, 4}, {record.StageForward, 10},
		{record.StageLimit, 40}, {record.StageForward, 530},
	} {
		x.Timeline.Enter(v.stage, time.Duration(v.ms)*time.Millisecond)
	}
	return x
}

func TestSpansDescribeTheStepsOfAnExchange(t *testing.T) {
	traces, end := tracer(t, "always_on", export.TracesOptions{
		Redis: true, Server: func(_ record.Surface, _, region string) (string, int) { return "object-store-" + region, 443 },
	})
	x := journey(traces.Begin(called(t), false))
	traces.Keep(x)
	spans := end()
	byID := map[string]span{}
	for _, s := range spans {
		byID[s.SpanContext.SpanID] = s
		if s.SpanContext.TraceID != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s is of trace %s", s.Name, s.SpanContext.TraceID)
		}
	}
	var got []string
	for _, s := range spans {
		over := byID[s.Parent.SpanID].Name
		if s.Parent.SpanID == "b7ad6b7169203331" {
			over = "caller"
		}
		got = append(got, over+" > "+s.Name+" "+s.StartTime.Sub(x.Start).String()+"…"+s.EndTime.Sub(x.Start).String())
	}
	slices.Sort(got)
	want := []string{
		"GET /stores/{storeId} > authorize 2ms…3ms",
		"GET /stores/{storeId} > cache 4ms…10ms",
		"GET /stores/{storeId} > forward 10ms…40ms",
		"GET /stores/{storeId} > forward 530ms…900ms",
		"GET /stores/{storeId} > identify 1ms…2ms",
		"GET /stores/{storeId} > limit 3ms…4ms",
		"GET /stores/{storeId} > limit 40ms…530ms",
		"caller > GET /stores/{storeId} 0s…900ms",
		"forward > GET /stores/{storeId} 20ms…30ms",
		"forward > GET /stores/{storeId} 540ms…840ms",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	for _, id := range []string{"0100000000000000", "0200000000000000"} {
		if byID[id].SpanKind != 3 {
			t.Errorf("the attempt %s, as upstream knows it, is %+v", id, byID[id])
		}
	}
}

func TestAttributesFollowTheConventionsAndContainNoNames(t *testing.T) {
	for _, names := range []bool{false, true} {
		traces, end := tracer(t, "always_on", export.TracesOptions{
			Names: names, Redis: true, TLS: true, Key: []byte("key"),
			Server: func(record.Surface, string, string) (string, int) { return "host", 443 },
		})
		x := journey(traces.Begin(record.Trace{}, false))
		traces.Keep(x)
		spans := end()
		kinds := map[string]map[string]any{}
		for _, s := range spans {
			if a := s.attributes(); s.SpanKind > 1 || len(a) > len(kinds[s.Name]) {
				kinds[s.Name+strings.Repeat("'", s.SpanKind-1)] = a
			}
		}
		server := kinds["GET /stores/{storeId}'"]
		store, client := server["osv2.store.hash"], server["osgate.client.hash"]
		want := map[string]any{
			"http.request.method": "GET", "http.route": "/stores/{storeId}", "http.response.status_code": 200.0, "client.address": "192.0.2.1",
			"network.peer.address": "192.0.2.2", "network.protocol.version": "1.1", "url.scheme": "https", "osv2.operation": "getKey", "osv2.plane": "us",
			"osv2.region": "us-east-1", "osv2.organization.id": "org", "osv2.environment.id": "env", "osgate.outcome": "upstream_ok",
			"osgate.policy.rule": "rule-1", "osgate.request_id": "r1",
			"osgate.client.identified_by": "jwt", "osgate.upstream_client": "gateway-app", "osgate.cache.result": "miss", "osv2.store.hash": store, "osgate.client.hash": client,
		}
		if names {
			want["osv2.store.name"], want["osgate.client.name"] = "a-secret-store", "a-secret-client"
		}
		if diff := cmp.Diff(want, server); diff != "" {
			t.Errorf("names %t: server (-want +got):\n%s", names, diff)
		}
		want = map[string]any{
			"http.request.method": "GET", "http.response.status_code": 200.0, "http.request.resend_count": 1.0, "server.address": "host", "server.port": 443.0,
			"osv2.operation": "getKey", "osv2.plane": "us", "osv2.region": "us-east-1",
		}
		if diff := cmp.Diff(want, kinds["GET /stores/{storeId}''"]); diff != "" {
			t.Errorf("the second attempt (-want +got):\n%s", diff)
		}
		limit := map[string]any{
			"db.system.name": "redis", "osgate.quota.decision": "waited", "osgate.quota.degraded": false, "osgate.quota.waited": 0.5,
		}
		if diff := cmp.Diff(limit, kinds["limit"]); diff != "" {
			t.Errorf("limit (-want +got):\n%s", diff)
		}
		text, _ := json.Marshal(spans)
		if !names && bytes.Contains(text, []byte("a-secret-")) || len(fmt.Sprint(store)) != 16 || store == client {
			t.Errorf("names %t: %s", names, text)
		}
	}
}

// own is the share of sampled exchanges without a caller's trace; stranger and trusted
// are the shares for callers with the sampled flag; unsampled is the share for trusted
// callers without it.
func TestSamplingDecision(t *testing.T) {
	for sampler, want := range map[string]struct{ own, stranger, trusted, unsampled float64 }{
		"":                             {0.01, 0.01, 1, 0},
		"=0.25":                        {0.25, 0.25, 1, 0},
		"always_on":                    {1, 1, 1, 1},
		"parentbased_always_on":        {1, 1, 1, 0},
		"parentbased_always_off":       {0, 0, 1, 0},
		"traceidratio":                 {1, 1, 1, 1},
		"traceidratio=0.5":             {0.5, 0.5, 0.5, 0.5},
		"parentbased_traceidratio=0.5": {0.5, 0.5, 1, 0},
		"parentbased_traceidratio=0":   {0, 0, 1, 0},
		"parentbased_traceidratio=1":   {1, 1, 1, 0},
	} {
		traces, end := tracer(t, sampler, export.TracesOptions{})
		share := func(sampled, parent, trusted bool) float64 {
			n := 0
			for range rounds {
				p := record.Trace{}
				if parent {
					p = traces.Begin(record.Trace{}, false) // a random id
					p.Parent, p.Span, p.Sampled = p.Span, [8]byte{}, sampled
				}
				got := traces.Begin(p, trusted)
				if got.Span == [8]byte{} || parent && (got.ID != p.ID || got.Parent != p.Parent) {
					t.Fatalf("%q: %+v became %+v", sampler, p, got)
				}
				if got.Sampled {
					n++
				}
			}
			return float64(n) / rounds
		}
		for name, pair := range map[string][2]float64{
			"own": {share(false, false, false), want.own}, "a stranger's": {share(true, true, false), want.stranger},
			"a trusted one's": {share(true, true, true), want.trusted}, "a trusted one's, not sampled": {share(false, true, true), want.unsampled},
		} {
			if exact := pair[1] == 0 || pair[1] == 1; exact && pair[0] != pair[1] || pair[0] < pair[1]-0.03 || pair[0] > pair[1]+0.03 {
				t.Errorf("%q: %s: %g are sampled, want %g", sampler, name, pair[0], pair[1])
			}
		}
		end()
	}
}

const rounds = 10_000

func TestAnUntrustedCallerIsSampledAtRandom(t *testing.T) {
	traces, end := tracer(t, "traceidratio=0.5", export.TracesOptions{})
	defer end()
	n := 0
	for range rounds {
		if traces.Begin(record.Trace{ID: [16]byte{1}, Parent: [8]byte{1}, Sampled: true}, false).Sampled { // the lowest id: sampled at any share
			n++
		}
	}
	if n > rounds*6/10 {
		t.Errorf("%d of %d", n, rounds)
	}
}

func TestFailuresThatAreNotSampledAreExportedWithinALimit(t *testing.T) {
	kinds := map[string]struct {
		change func(*record.Exchange)
		why    any
	}{
		"ours":         {func(x *record.Exchange) { x.Status, x.Code = 503, "overloaded" }, "failed"},
		"upstream's":   {func(x *record.Exchange) { x.UpstreamStatus = 500 }, "failed"},
		"stale answer": {func(x *record.Exchange) { x.Hit, x.UpstreamStatus, x.UpstreamError = true, 0, "timeout" }, "failed"},
		"prolonged by a stranger": {func(x *record.Exchange) {
			x.Duration, x.Status, x.Code, x.UpstreamAttempts = 6*time.Second, 401, "no-token", 0
		}, nil},
		"prolonged without credentials": {func(x *record.Exchange) {
			x.Surface, x.Duration, x.Status = record.SurfaceAccounts, 6*time.Second, 401
		}, nil},
		"given up by the client": {func(x *record.Exchange) { x.Duration, x.Status, x.Code = 6*time.Second, 499, "bad-request" }, "slow"},
		"broken off":             {func(x *record.Exchange) { x.Aborted = true }, "failed"},
		"slow":                   {func(x *record.Exchange) { x.Duration = 1600 * time.Millisecond }, "slow"},
		"waited long":            {func(x *record.Exchange) { x.Duration, x.Waited = 1600*time.Millisecond, time.Second }, nil},
		"the client left":        {func(x *record.Exchange) { x.Aborted, x.Status = true, 499 }, nil},
		"refused":                {func(x *record.Exchange) { x.Status, x.Code = 429, "over-quota" }, nil},
		"all well":               {func(*record.Exchange) {}, nil},
	}
	for name, tt := range kinds {
		synctest.Test(t, func(t *testing.T) {
			traces, end := tracer(t, "parentbased_traceidratio=0", export.TracesOptions{Slow: time.Second})
			x := journey(traces.Begin(called(t), false))
			tt.change(x)
			traces.Keep(x)
			var why any
			for _, s := range end() {
				if s.SpanKind == 2 {
					why = s.attributes()["osgate.sampled"]
				}
			}
			if why != tt.why {
				t.Errorf("%s: traced as %v, want %v", name, why, tt.why)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		traces, end := tracer(t, "parentbased_traceidratio=0", export.TracesOptions{Slow: time.Second})
		slow, failed := journey(traces.Begin(record.Trace{}, false)), journey(traces.Begin(record.Trace{}, false))
		slow.Duration, failed.Status = time.Minute, 502
		for range 3 { // seconds
			for _, x := range []*record.Exchange{slow, failed} {
				for range 100 {
					traces.Keep(x)
				}
			}
			<-time.After(time.Second)
		}
		traced := map[any]int{}
		for _, s := range end() {
			if s.SpanKind == 2 {
				traced[s.attributes()["osgate.sampled"]]++
			}
		}
		if traced["failed"] != 30 || traced["slow"] != 30 {
			t.Errorf("traces of 300 failed and 300 slow exchanges within 3 s: %v, want 10 a second of each", traced)
		}
	})
}

func TestNothingIsTracedWhereTracesAreOff(t *testing.T) {
	for _, variables := range []map[string]string{
		{}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"},
		{"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "always_off"},
	} {
		plan, err := export.ReadPlan(environment(variables))
		if err != nil || plan.Traces() {
			t.Errorf("%v: %v, %t", slices.Collect(maps.Keys(variables)), err, plan.Traces())
		}
	}
}

// BenchmarkTraces measures the cost of traces during an exchange, and the cost of a
// traced one for the worker.
func BenchmarkTraces(b *testing.B) {
	plan, err := export.ReadPlan(environment(map[string]string{"OTEL_TRACES_EXPORTER": "console"}))
	if err != nil {
		b.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	exports, err := export.Open(b.Context(), plan, export.Options{Console: io.Discard, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	traces := exports.NewTraces(export.TracesOptions{Slow: time.Second})
	x := journey(traces.Begin(record.Trace{}, false))
	b.Run("begin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			traces.Begin(record.Trace{}, false)
		}
	})
	for name, sampled := range map[string]bool{"keep, not sampled": false, "keep, sampled": true} {
		x.Trace.Sampled = sampled
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				traces.Keep(x) // the queue is never read: a full one costs the same
			}
		})
	}
}
