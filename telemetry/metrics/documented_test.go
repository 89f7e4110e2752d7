package metrics_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"osgate/record"
	"osgate/telemetry/metrics"
)

// everything returns metrics in which every instrument has a value.
func everything(t *testing.T, readers ...metric.Reader) *metrics.Metrics {
	t.Helper()
	m := newMetrics(t, metrics.Options{
		Version: "v1", Readers: readers, Sources: allSources(),
		Gauges: metrics.Gauges{
			ExchangesUnderWay: func(report func(string, int64)) { report("GET", 1) }, CacheBytes: func() int64 { return 1 }, CacheEntries: func() int64 { return 1 },
			RedisUp: func() bool { return true }, CacheEvents: func(report func(string, int64)) { report("fill", 1) },
			CacheLeases: func(report func(string, int64)) { report("kept", 1) },
		},
		Server: func(record.Surface, string, string) (string, int) { return "object-store.example", 443 },
	})
	x := getKey()
	x.Waited, x.Rule = time.Millisecond, "team-a"
	m.Keep(x)
	failed := getKey()
	failed.Status, failed.Code, failed.UpstreamStatus = 502, "upstream-unreachable", 0
	failed.Cache = record.CacheResult{Forward: record.ForwardBypass, Detail: "settling"}
	m.Keep(failed)
	m.Keep(&record.Exchange{Surface: record.SurfaceObjectStore, Operation: "getKey", Status: 200, Hit: true, Cache: record.CacheResult{Hit: true, TTL: 8 * time.Second}})
	m.RoundTrip("main", "rate", "timeout", time.Millisecond)
	m.ControlPlaneCall("us", "named", time.Millisecond)
	m.BudgetDecision(true, false, time.Millisecond)
	return m
}

func TestEveryInstrumentHasUnitAndDescription(t *testing.T) {
	reader := metric.NewManualReader()
	everything(t, reader)
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	// A state has no unit. With unit "1", Prometheus's names would end in "ratio".
	states := map[string]bool{
		"osgate.redis.up": true, "osgate.redis.breaker": true, "osgate.identity.breaker": true, "osgate.upstream.breaker": true, "osgate.policy.stale": true, "osgate.build.info": true,
		"osgate.brokering.faults": true,
	}
	seen := 0
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			seen++
			if m.Description == "" || m.Unit == "" && !states[m.Name] {
				t.Errorf("%s has unit %q and description %q", m.Name, m.Unit, m.Description)
			}
		}
	}
	if seen < 35 {
		t.Errorf("only %d instruments were seen", seen)
	}
}

// docs/metrics.md and docs/metrics-parts.md describe every metric and label, and no
// other metric.
func TestEveryMetricAndLabelIsDocumented(t *testing.T) {
	var docs string
	for _, page := range []string{"metrics.md", "metrics-parts.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		docs += string(text)
	}
	known := map[string]bool{ // with those that are registered elsewhere
		"go_*": true, "process_*": true, "osgate_telemetry_failures_total": true, "osgate_telemetry_dropped_total": true,
	}
	for _, line := range series(scrape(t, everything(t))) {
		name, labels, _ := strings.Cut(strings.Fields(line)[0], "{")
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, part); !strings.Contains(docs, "`"+name+"`") {
				name = base
			}
		}
		if !strings.Contains(docs, "`"+name+"`") {
			t.Errorf("docs/metrics.md and docs/metrics-parts.md do not name the metric %s", name)
		}
		known[name] = true
		if name == "target_info" { // its labels are the resource's
			continue
		}
		for label := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
			if label, _, ok := strings.Cut(label, "="); ok && label != "le" && !strings.Contains(docs, "`"+label+"`") {
				t.Errorf("docs/metrics.md and docs/metrics-parts.md do not name the label %s of %s", label, name)
			}
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z][a-z0-9_*]+`[^|]*) \\|").FindAllStringSubmatch(docs, -1) {
		for _, name := range regexp.MustCompile("`([a-z][a-z0-9_*]+)`").FindAllStringSubmatch(row[1], -1) {
			if !known[name[1]] {
				t.Errorf("docs/metrics.md and docs/metrics-parts.md have a row for %s, which is no metric", name[1])
			}
		}
	}
}
