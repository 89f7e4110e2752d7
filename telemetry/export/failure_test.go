package export_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"osgate/record"
	"osgate/telemetry/export"
	"osgate/telemetry/metrics"
)

// collectorText is the text of a collector's answers. It must not appear in the log.
const collectorText = "text-of-a-collector"

// sending opens exports to a collector with the given variables, and metrics that count
// the losses.
func sending(
	t *testing.T, endpoint string, more map[string]string,
) (exports *export.Exports, m *metrics.Metrics, log *lockedBuffer) {
	t.Helper()
	variables := map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "always_on", "OTEL_BSP_SCHEDULE_DELAY": "60000",
	}
	maps.Copy(variables, more)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint) // the exporters read it themselves
	plan, err := export.ReadPlan(environment(variables))
	if err != nil {
		t.Fatal(err)
	}
	log = &lockedBuffer{}
	exports, err = export.Open(t.Context(), plan, export.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return exports, newMetrics(t, metrics.Options{Exports: exports.Losses}), log
}

func newMetrics(tb testing.TB, o metrics.Options) *metrics.Metrics {
	tb.Helper()
	m, err := metrics.New(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// scrape returns the page that Prometheus reads.
func scrape(tb testing.TB, m *metrics.Metrics) string {
	tb.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		tb.Fatalf("/metrics answers %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// sendTraces sends the exchanges that keep adds, in one batch.
func sendTraces(t *testing.T, exports *export.Exports, keep func(*export.Traces)) {
	t.Helper()
	keep(exports.NewTraces(export.TracesOptions{Names: true}))
	end(t, exports)
}

// end sends the remaining items and stops.
func end(t *testing.T, exports *export.Exports) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := exports.Run(ctx); err != nil {
		t.Error(err)
	}
}

// keepTen keeps ten exchanges with one span each.
func keepTen(traces *export.Traces) {
	for range 10 {
		traces.Keep(&record.Exchange{Start: time.Now(), Trace: traces.Begin(record.Trace{}, false)})
	}
}

// partialSuccess returns a successful answer of a collector with a number of rejected
// spans and a message.
func partialSuccess(rejected int64) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		text, _ := proto.Marshal(&collectortrace.ExportTraceServiceResponse{
			PartialSuccess: &collectortrace.ExportTracePartialSuccess{RejectedSpans: rejected, ErrorMessage: collectorText},
		})
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(text)
	}
}

// invalidHTTP answers with bytes that are not HTTP.
func invalidHTTP(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, err = io.WriteString(conn, "HTTP/1.1 "+collectorText+"\r\n\r\n")
	}
	if errors.Join(err, conn.Close()) != nil {
		panic(err)
	}
}

func TestRecordsThatACollectorRejectsAreCountedWithoutItsMessage(t *testing.T) {
	for name, tt := range map[string]struct {
		answer                   func(http.ResponseWriter)
		failures, dropped, cause string
	}{
		"all is well":      {func(http.ResponseWriter) {}, "0", "0", ""},
		"a warning":        {partialSuccess(0), "0", "0", ""},
		"a part rejected":  {partialSuccess(3), "1", "3", "rejected a part"},
		"more than it got": {partialSuccess(1 << 40), "1", "10", "rejected a part"},
		"refused":          {func(w http.ResponseWriter) { http.Error(w, collectorText, http.StatusForbidden) }, "1", "10", "HTTP status 403"},
		"not HTTP":         {invalidHTTP, "1", "10", "malformed HTTP status code"},
	} {
		t.Run(name, func(t *testing.T) {
			collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				tt.answer(w)
			}))
			defer collector.Close()
			exports, m, log := sending(t, collector.URL, nil)
			sendTraces(t, exports, keepTen)
			checkLost(t, m, log, tt.failures, tt.dropped, tt.cause)
		})
	}
}

// checkLost checks the counts of traces and the log.
func checkLost(t *testing.T, m *metrics.Metrics, log *lockedBuffer, failures, dropped, cause string) {
	t.Helper()
	page := scrape(t, m)
	for _, want := range []string{
		`osgate_telemetry_failures_total{osgate_telemetry_signal="traces"} ` + failures + "\n",
		`osgate_telemetry_dropped_total{osgate_telemetry_signal="traces"} ` + dropped + "\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	text := log.text.String()
	if strings.Contains(text, collectorText) || strings.Contains(text, "127.0.0.1") || cause == "" && text != "" || !strings.Contains(text, cause) {
		t.Errorf("the log should contain %q:\n%s", cause, text)
	}
}

// refusingCollector is a gRPC collector that rejects each export.
type refusingCollector struct {
	collectortrace.UnimplementedTraceServiceServer
}

// Export implements [collectortrace.TraceServiceServer].
func (refusingCollector) Export(context.Context, *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	return nil, status.Error(codes.InvalidArgument, collectorText)
}

func TestMessageOfAGRPCCollectorIsNotLogged(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(server, refusingCollector{})
	go func() { _ = server.Serve(listener) }() // ends with Stop
	defer server.Stop()
	exports, m, log := sending(t, "http://"+listener.Addr().String(), map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
	sendTraces(t, exports, keepTen)
	checkLost(t, m, log, "1", "10", "gRPC status InvalidArgument")
}

func TestInvalidUTF8LosesNoSpans(t *testing.T) {
	text := strings.Repeat("a", 255) + "é" + "\xff"
	spans := 0
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var got collectortrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		for _, s := range got.GetResourceSpans()[0].GetScopeSpans() {
			spans += len(s.GetSpans())
		}
	}))
	defer collector.Close()
	for name, set := range map[string]func(*record.Exchange){
		"organization": func(x *record.Exchange) { x.Organization = text },
		"environment":  func(x *record.Exchange) { x.Environment = text },
		"store":        func(x *record.Exchange) { x.Store = text },
		"principal":    func(x *record.Exchange) { x.Principal = text },
		"rule":         func(x *record.Exchange) { x.Rule = text },
		"id":           func(x *record.Exchange) { x.ID = text },
		"method":       func(x *record.Exchange) { x.Method = text },
		"code":         func(x *record.Exchange) { x.Code = record.Code(text) },
	} {
		t.Run(name, func(t *testing.T) {
			spans = 0
			exports, _, log := sending(t, collector.URL, map[string]string{"OTEL_LOGS_EXPORTER": "none"})
			sendTraces(t, exports, func(traces *export.Traces) {
				keepTen(traces)
				x := &record.Exchange{Start: time.Now(), Trace: traces.Begin(record.Trace{}, false)}
				set(x)
				traces.Keep(x)
			})
			if spans != 11 {
				t.Errorf("%d spans arrived, want 11\n%s", spans, log.text.String())
			}
		})
	}
}

func TestLogRecordsThatFindTheQueueFullAreCounted(t *testing.T) {
	hang := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-hang
	}))
	defer collector.Close()
	exports, m, _ := sending(t, collector.URL, map[string]string{
		"OTEL_TRACES_EXPORTER": "none", "OTEL_BLRP_MAX_QUEUE_SIZE": "8", "OTEL_BLRP_SCHEDULE_DELAY": "60000", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "100",
	})
	logger := exports.Logger(slog.New(slog.NewTextHandler(&lockedBuffer{}, nil)))
	for range 1000 {
		logger.Info("a line")
	}
	close(hang)
	exports.Close(t.Context())
	kept := 1000
	for line := range strings.Lines(scrape(t, m)) {
		if rest, ok := strings.CutPrefix(line, `osgate_telemetry_dropped_total{osgate_telemetry_signal="logs"} `); ok {
			lost, err := strconv.Atoi(strings.TrimSpace(rest))
			if err != nil {
				t.Fatal(err)
			}
			kept -= lost
		}
	}
	if kept < 8 || kept > 24 { // the queue, and records that had left it
		t.Errorf("%d of 1000 records are not counted as lost", kept)
	}
}

func TestUnusedExportersAreClosedToo(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		before := goleak.IgnoreCurrent()
		exports, _, _ := sending(t, "http://127.0.0.1:1", map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_TRACES_SAMPLER": "always_off"})
		if exports.NewTraces(export.TracesOptions{}) != nil {
			t.Error("there are traces")
		}
		exports.Close(t.Context())
		goleak.VerifyNone(t, before)
	}
}
