package export_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"osgate/telemetry/metrics"
)

// pushed contains the data that one process sent to a collector: its attributes for
// each signal, and its metrics by name.
type pushed struct {
	resources map[string]map[string]string // by path of the request
	metrics   map[string]*metricspb.Metric
}

// push exports an item of each signal, with the given variables, and returns the
// received data.
func push(t *testing.T, variables map[string]string) (got pushed, page string) {
	t.Helper()
	got = pushed{map[string]map[string]string{}, map[string]*metricspb.Metric{}}
	collector := recordingCollector(t, func(path string, body []byte) {
		var about *resourcepb.Resource
		switch path {
		case "/v1/traces":
			about = unmarshal(t, body, &collectortrace.ExportTraceServiceRequest{}).GetResourceSpans()[0].GetResource()
		case "/v1/logs":
			about = unmarshal(t, body, &collectorlogs.ExportLogsServiceRequest{}).GetResourceLogs()[0].GetResource()
		case "/v1/metrics":
			of := unmarshal(t, body, &collectormetrics.ExportMetricsServiceRequest{}).GetResourceMetrics()[0]
			about = of.GetResource()
			for _, scope := range of.GetScopeMetrics() {
				for _, m := range scope.GetMetrics() {
					got.metrics[m.GetName()] = m
				}
			}
		}
		got.resources[path] = map[string]string{}
		for _, a := range about.GetAttributes() {
			got.resources[path][a.GetKey()] = a.GetValue().GetStringValue()
		}
	})
	variables["OTEL_METRICS_EXPORTER"] = "otlp"
	exports, _, _ := sending(t, collector, variables)
	m := newMetrics(t, metrics.Options{Readers: exports.Readers(), Instance: exports.Instance()})
	exports.Logger(slog.New(slog.NewTextHandler(&lockedBuffer{}, nil))).Warn("a line")
	sendTraces(t, exports, keepTen)
	return got, scrape(t, m)
}

// recordingCollector starts a collector that calls show with each request, one at a
// time.
func recordingCollector(t *testing.T, show func(path string, body []byte)) (endpoint string) {
	t.Helper()
	turn := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		turn <- struct{}{}
		show(r.URL.Path, body)
		<-turn
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func unmarshal[M proto.Message](t *testing.T, body []byte, into M) M {
	if err := proto.Unmarshal(body, into); err != nil {
		t.Error(err)
	}
	return into
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// The sums of two processes would overwrite each other.
func TestNoTwoProcessesAreTheSameToACollector(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 2 {
		got, page := push(t, map[string]string{})
		one := got.resources["/v1/metrics"]["service.instance.id"]
		if !uuid4.MatchString(one) || seen[one] {
			t.Errorf("%q is not a unique random UUID", one)
		}
		seen[one] = true
		for _, path := range []string{"/v1/traces", "/v1/metrics", "/v1/logs"} {
			if about := got.resources[path]; about["service.instance.id"] != one || about["host.name"] != host || about["service.name"] != "osgate" {
				t.Errorf("%s has %v, want instance %s of host %s", path, about, one, host)
			}
		}
		if !strings.Contains(page, `service_instance_id="`+one+`"`) {
			t.Error("target_info does not contain the instance")
		}
	}
}

func TestEnvironmentOverridesTheResourceAttributes(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=gate-7,host.name=somewhere")
	got, _ := push(t, map[string]string{})
	for path, about := range got.resources {
		if about["service.instance.id"] != "gate-7" || about["host.name"] != "somewhere" {
			t.Errorf("%s has %v", path, about)
		}
	}
}

// processNames contains the pushed metrics of the process and the Go runtime.
var processNames = []string{
	"process.cpu.time", "process.memory.usage", "process.memory.virtual", "process.unix.file_descriptor.count", "process.uptime",
	"osgate.process.file_descriptor.limit", "go.memory.used", "go.memory.limit", "go.memory.allocated", "go.memory.allocations", "go.memory.gc.goal",
	"go.memory.gc.cycles", "go.goroutine.count", "go.processor.limit",
}

// Each metric is in one place only.
func TestPushedMetricsAreNotOnPrometheus(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
	docs, err := os.ReadFile("../../docs/metrics-parts.md")
	if err != nil {
		t.Fatal(err)
	}
	got, page := push(t, map[string]string{})
	for _, name := range processNames {
		m := got.metrics[name]
		if m == nil || m.GetUnit() == "" || m.GetDescription() == "" {
			t.Errorf("%s was pushed as %v", name, m)
			continue
		}
		points := append(m.GetSum().GetDataPoints(), m.GetGauge().GetDataPoints()...)
		if len(points) == 0 || points[0].GetAsInt() <= 0 && points[0].GetAsDouble() <= 0 {
			t.Errorf("%s is %v", name, points)
		}
		if name == "process.cpu.time" && len(points) != 2 {
			t.Errorf("%s has %d modes, want user and system", name, len(points))
		}
		if strings.Contains(page, strings.ReplaceAll(name, ".", "_")) {
			t.Errorf("%s is on /metrics too", name)
		}
		if !strings.Contains(string(docs), "`"+name+"`") {
			t.Errorf("docs/metrics-parts.md does not name %s", name)
		}
	}
	for name := range got.metrics {
		if known := strings.Join(processNames, " ") + " "; (strings.HasPrefix(name, "go.") || strings.HasPrefix(name, "process.")) && !strings.Contains(known, name+" ") {
			t.Errorf("%s is pushed and not known here", name)
		}
	}
	for _, name := range []string{"go_goroutines ", "process_open_fds ", "process_resident_memory_bytes "} {
		if !strings.Contains(page, "\n"+name) {
			t.Errorf("%sis not on /metrics", name)
		}
	}
}

func TestSumsOfTheProcessHaveTheConfiguredTemporality(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta") // the exporter reads it itself
	got, _ := push(t, map[string]string{})
	if of := got.metrics["go.memory.allocated"].GetSum().GetAggregationTemporality(); of != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		t.Errorf("sums are %v", of)
	}
}
