package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"osgate/record"
	"osgate/telemetry/export"
	"osgate/telemetry/metrics"
)

// secret is a value that must not appear in errors.
const secret = "a-secret-value"

// exporting is an environment and the names of its unusable variables.
type exporting struct {
	variables map[string]string
	named     []string
}

// checkNamed checks that errors name the unusable variables of each environment and do
// not contain their values.
func checkNamed(t *testing.T, rows map[string]exporting) {
	t.Helper()
	for name, tt := range rows {
		_, err := export.ReadPlan(environment(tt.variables))
		var named []string
		if all, ok := err.(interface{ Unwrap() []error }); ok {
			for _, err := range all.Unwrap() {
				if e, ok := errors.AsType[*export.VariableError](err); ok {
					named = append(named, e.Variable)
				}
			}
		}
		slices.Sort(named)
		slices.Sort(tt.named)
		if diff := cmp.Diff(tt.named, named); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the value is in %q", name, err)
		}
	}
}

func TestAVariableThatCannotBeUsedIsNamedAndItsValueIsNot(t *testing.T) {
	checkNamed(t, map[string]exporting{
		"nothing":             {map[string]string{}, nil},
		"none":                {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": " ", "OTEL_LOGS_EXPORTER": "none"}, nil},
		"a list":              {map[string]string{"OTEL_TRACES_EXPORTER": "otlp, console"}, nil},
		"an unknown exporter": {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_LOGS_EXPORTER": secret}, []string{"OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER"}},
		"disabled":            {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "zipkin"}, nil},
		"a protocol": {
			map[string]string{"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, []string{"OTEL_EXPORTER_OTLP_PROTOCOL"},
		},
		"a signal's own protocol": {
			map[string]string{
				"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc",
			}, nil,
		},
		"an endpoint": {
			map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": secret}, []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		},
		"headers": {
			map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=%zz" + secret}, []string{"OTEL_EXPORTER_OTLP_HEADERS"},
		},
		"a header without a value": {
			map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": secret}, []string{"OTEL_EXPORTER_OTLP_HEADERS"},
		},
		"good headers": {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b,other=c"}, nil},
	})
}

func TestFilesBoundsAndSamplersThatCannotBeUsedAreNamed(t *testing.T) {
	checkNamed(t, map[string]exporting{
		"files": {
			map[string]string{
				"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_CERTIFICATE": secret, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": secret,
			},
			[]string{"OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
		},
		"bounds": {
			map[string]string{
				"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s", "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd",
				"OTEL_BSP_MAX_QUEUE_SIZE": "0", "OTEL_METRIC_EXPORT_INTERVAL": "soon",
			},
			[]string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_MAX_QUEUE_SIZE"},
		},
		"a sampler that is not used": {map[string]string{"OTEL_TRACES_SAMPLER": "xray"}, nil},
		"as the specification has them": {
			map[string]string{"OTEL_TRACES_EXPORTER": "Console", "OTEL_METRICS_EXPORTER": "prometheus", "OTEL_TRACES_SAMPLER": "ALWAYS_ON"}, nil,
		},
		"a resource": {map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "a=b," + secret}, []string{"OTEL_RESOURCE_ATTRIBUTES"}},
		"a resource of a disabled SDK": {
			map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "a=%zz" + secret, "OTEL_SDK_DISABLED": "true"}, []string{"OTEL_RESOURCE_ATTRIBUTES"},
		},
		"invalid UTF-8": {
			map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "a=%ff", "OTEL_SERVICE_NAME": "\xff"}, []string{"OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"},
		},
		"a good resource": {map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod%20a, a=", "OTEL_SERVICE_NAME": "gate"}, nil},
		"a sampler":       {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, []string{"OTEL_TRACES_SAMPLER"}},
		"a share":         {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER_ARG": "1.5"}, []string{"OTEL_TRACES_SAMPLER_ARG"}},
		"no number":       {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "NaN"}, []string{"OTEL_TRACES_SAMPLER_ARG"}},
	})
}

// lockedBuffer is a log for several goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements [io.Writer].
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// contains reports whether a text was written.
func (b *lockedBuffer) contains(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.text.String(), text)
}

// The log line contains neither text of the collector nor its address.
func TestACollectorThatRefusesCostsCountersAndOneLine(t *testing.T) {
	refusals := make(chan string, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, collectorText, http.StatusForbidden)
		refusals <- r.URL.Path
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL) // the exporters read it themselves
	plan, err := export.ReadPlan(environment(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_TRACES_SAMPLER": "always_on", "OTEL_BSP_SCHEDULE_DELAY": "1",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	exports, err := export.Open(t.Context(), plan, export.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics(t, metrics.Options{Readers: exports.Readers(), Exports: exports.Losses})
	traces := exports.NewTraces(export.TracesOptions{})
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- exports.Run(ctx) }()
	for range 3 {
		traces.Keep(&record.Exchange{Start: time.Now(), Trace: traces.Begin(record.Trace{}, false)})
		<-refusals
	}
	exports.Logger(slog.New(slog.DiscardHandler)).Info("a line")
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
	page := scrape(t, m) // the last push of metrics was refused too; the scrape works
	for _, want := range []string{
		`osgate_telemetry_failures_total{osgate_telemetry_signal="traces"} 3`, `osgate_telemetry_failures_total{osgate_telemetry_signal="metrics"} 1`,
		`osgate_telemetry_dropped_total{osgate_telemetry_signal="traces"} 3`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if text := log.text.String(); strings.Count(text, "\n") != 1 || strings.Contains(text, collector.URL) || strings.Contains(text, collectorText) {
		t.Errorf("logged:\n%s", text)
	}
}

func TestLogRecordsGoOutUnderTheirTraceAndAtTheLevelOfTheLog(t *testing.T) {
	plan, err := export.ReadPlan(environment(map[string]string{"OTEL_LOGS_EXPORTER": "console"}))
	if err != nil {
		t.Fatal(err)
	}
	var console, written bytes.Buffer
	quiet := slog.New(slog.DiscardHandler)
	exports, err := export.Open(t.Context(), plan, export.Options{Console: &console, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	own := slog.New(slog.NewJSONHandler(&written, &slog.HandlerOptions{Level: slog.LevelWarn}))
	logger := exports.Logger(own)
	place := called(t)
	place.Span = [8]byte{1}
	access := record.NewAccessLog(record.AccessLogOptions{Logger: own, Exported: exports.Exporter(own), Exports: exports.ExportsLine})
	access.Keep(&record.Exchange{Status: 503, Trace: place})
	access.Keep(&record.Exchange{Status: 200, Trace: place})
	logger.With("a", 1).WithGroup("g").Warn("something", "b", 2)
	exports.Close(t.Context())
	var got []string
	for d := json.NewDecoder(&console); d.More(); {
		var r struct {
			Body            struct{ Value string }
			TraceID, SpanID string
		}
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Body.Value+" "+r.TraceID+" "+r.SpanID)
	}
	want := []string{
		"exchange 0af7651916cd43dd8448eb211c80319c 0100000000000000",
		"something 00000000000000000000000000000000 0000000000000000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	if n := strings.Count(written.String(), "\n"); n != 2 {
		t.Errorf("%d lines were written:\n%s", n, written.String())
	}
}

// If OTEL_LOGS_EXPORTER is not set, lines of exchanges are exported only as warnings or
// with sampled traces.
func TestTheAccessLogFollowsTheTraces(t *testing.T) {
	sampled := called(t)
	sampled.Span = [8]byte{1}
	unsampled := sampled
	unsampled.Sampled = false
	for name, tt := range map[string]struct {
		variables map[string]string
		want      int
	}{
		"an endpoint alone": {map[string]string{}, 3},
		"no traces":         {map[string]string{"OTEL_TRACES_EXPORTER": "none"}, 3},
		"none sampled":      {map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}, 3},
		"by name":           {map[string]string{"OTEL_LOGS_EXPORTER": "otlp"}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			var lines bytes.Buffer
			records := 0
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				var got collectorlogs.ExportLogsServiceRequest
				if err := proto.Unmarshal(body, &got); err != nil {
					t.Error(err)
				}
				for _, s := range got.GetResourceLogs() {
					records += len(s.GetScopeLogs()[0].GetLogRecords())
				}
			}))
			defer collector.Close()
			exports, _, _ := sending(t, collector.URL, tt.variables)
			own := slog.New(slog.NewTextHandler(&lockedBuffer{}, nil))
			logger := exports.Logger(own)
			access := record.NewAccessLog(record.AccessLogOptions{
				Logger: own, Lines: &lines, Exported: exports.Exporter(own), Exports: exports.ExportsLine,
			})
			for _, x := range []record.Exchange{{Status: 200}, {Status: 503}, {Status: 200, Trace: sampled}, {Status: 200, Trace: unsampled}} {
				access.Keep(&x)
			}
			logger.Info("draining")
			exports.Close(t.Context())
			if records != tt.want {
				t.Errorf("%d records arrived, want %d", records, tt.want)
			}
			if n := strings.Count(lines.String(), "\n"); n != 4 {
				t.Errorf("%d lines were written, want those of 4 exchanges:\n%s", n, &lines)
			}
		})
	}
}
