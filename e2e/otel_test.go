package e2e

import (
	"encoding/hex"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// exportSettings are settings that export all signals to a collector, at once.
func exportSettings(endpoint, protocol string, more ...string) []string {
	return append([]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
		"OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_BLRP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=200",
	}, more...)
}

// The traces that clients begin, and the span that calls the gateway.
const (
	callerSpan = "00f067aa0ba902b7"
	traceMiss  = "11111111111111111111111111111111"
	traceHit   = "22222222222222222222222222222222"
	traceDeny  = "33333333333333333333333333333333"
	traceAgain = "44444444444444444444444444444444"
)

// traceparent returns the Traceparent header of a request that belongs to a sampled
// trace.
func traceparent(trace string) string { return "Traceparent: 00-" + trace + "-" + callerSpan + "-01" }

// spanTree writes the spans of a trace, sorted, each as "kind name < parent's name".
func spanTree(spans []*tracepb.Span) (lines []string) {
	names := map[string]string{callerSpan: "caller"}
	for _, s := range spans {
		names[hex.EncodeToString(s.GetSpanId())] = s.GetName()
	}
	for _, s := range spans {
		kind := strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
		lines = append(lines, kind+" "+s.GetName()+" < "+names[hex.EncodeToString(s.GetParentSpanId())])
	}
	slices.Sort(lines)
	return lines
}

// spansOfKind returns the spans of a kind in the order of their start.
func spansOfKind(spans []*tracepb.Span, kind tracepb.Span_SpanKind) []*tracepb.Span {
	spans = slices.DeleteFunc(slices.Clone(spans), func(s *tracepb.Span) bool { return s.GetKind() != kind })
	slices.SortFunc(spans, func(a, b *tracepb.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
	})
	return spans
}

// awaitTrace waits until the server span of a trace was received, and returns all spans
// of the trace. The server span is sent with or after the others.
func (c *collector) awaitTrace(trace string) (server *tracepb.Span, spans []*tracepb.Span) {
	c.t.Helper()
	eventually(c.t, "the trace "+trace, func() bool {
		spans = c.trace(trace)
		return len(spansOfKind(spans, tracepb.Span_SPAN_KIND_SERVER)) > 0
	})
	return spansOfKind(spans, tracepb.Span_SPAN_KIND_SERVER)[0], spans
}

const getKeyRoute = "GET /api/v1/organizations/{organizationId}/environments/{environmentId}/stores/{storeId}/partitions/{partitionId}/keys/{keyId}"

// TestOneTraceSpansClientGatewayAndObjectStore follows traces of clients through the
// gateway to the request log of osemu, over both forms of OTLP.
func TestOneTraceSpansClientGatewayAndObjectStore(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			c := startCollector(t)
			s := newStack(t, true, "-rate", "2") // the first read of a store causes two
			endpoint := map[string]string{"http/protobuf": c.http, "grpc": c.grpc}[protocol]
			g := s.gateway(exportSettings(endpoint, protocol, "TRUSTED_PROXIES=127.0.0.0/8", "RATE_MAX_WAIT=10s")...)
			one := g.as("app-one")
			one.get(keyOne, traceparent(traceMiss), "Tracestate: vendor=1").is(http.StatusOK)
			one.get(keyOne, traceparent(traceHit)).is(http.StatusOK)
			g.client().get(keyOne, traceparent(traceDeny)).is(http.StatusUnauthorized)
			one.get(demoKeys+"/KeyTwo", traceparent(traceAgain)).is(http.StatusOK)

			server, spans := c.awaitTrace(traceMiss)
			want := []string{
				"client " + getKeyRoute + " < forward", "internal authorize < " + getKeyRoute, "internal cache < " + getKeyRoute,
				"internal forward < " + getKeyRoute, "internal identify < " + getKeyRoute, "internal limit < " + getKeyRoute,
				"server " + getKeyRoute + " < caller",
			}
			if got := spanTree(spans); !slices.Equal(got, want) {
				t.Errorf("the trace of a miss:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			received := s.emulator.requests(hasTarget(http.MethodGet, keyOne))
			attempt := spansOfKind(spans, tracepb.Span_SPAN_KIND_CLIENT)[0]
			if want := "00-" + traceMiss + "-" + hex.EncodeToString(attempt.GetSpanId()) + "-01"; len(received) != 1 || received[0].Traceparent != want {
				t.Errorf("osemu received %+v, want traceparent %s", received, want)
			}
			for key, want := range map[string]string{"server.address": "object-store-us-east-1.anypoint.mulesoft.com", "http.response.status_code": "200"} {
				if got := attribute(attempt.GetAttributes(), key); got != want {
					t.Errorf("%s of the attempt is %q, want %q", key, got, want)
				}
			}
			line := "exchange " + hex.EncodeToString(server.GetSpanId())
			eventually(t, "the log record of the trace", func() bool { return slices.Equal(c.logRecords(traceMiss), []string{line}) })
			for _, metric := range []string{"http.server.request.duration", "osgate.exchanges", "osgate.telemetry.failures", "process.memory.usage", "go.memory.used"} {
				eventually(t, metric, func() bool { return c.hasMetric(metric) })
			}
			c.checkOtherTraces(s)
			c.checkNoSecrets(append(s.allSecrets(), one.token, "KeyOne", "KeyTwo")...)
		})
	}
}

// checkOtherTraces checks the traces of a hit, a refusal, and a request that Object
// Store refused at first.
func (c *collector) checkOtherTraces(s *stack) {
	c.t.Helper()
	server, spans := c.awaitTrace(traceHit)
	if len(spansOfKind(spans, tracepb.Span_SPAN_KIND_CLIENT)) != 0 || attribute(server.GetAttributes(), "osgate.cache.result") != "hit" {
		c.t.Errorf("the trace of a hit: %s, %v", spanTree(spans), server.GetAttributes())
	}
	server, spans = c.awaitTrace(traceDeny)
	if attribute(server.GetAttributes(), "osgate.code") != "no-token" || attribute(server.GetAttributes(), "http.response.status_code") != "401" {
		c.t.Errorf("the trace of a refusal: %s, %v", spanTree(spans), server.GetAttributes())
	}
	_, spans = c.awaitTrace(traceAgain)
	attempts := spansOfKind(spans, tracepb.Span_SPAN_KIND_CLIENT)
	received := s.emulator.requests(hasTarget(http.MethodGet, demoKeys+"/KeyTwo"))
	if len(attempts) < 2 || len(received) != len(attempts) {
		c.t.Fatalf("%d attempts were exported, osemu received %d", len(attempts), len(received))
	}
	for i, a := range attempts {
		resent, span := attribute(a.GetAttributes(), "http.request.resend_count"), received[i].Traceparent[36:52]
		if want := strings.TrimPrefix(strconv.Itoa(i), "0"); resent != want || span != hex.EncodeToString(a.GetSpanId()) {
			c.t.Errorf("attempt %d: resend_count %q; its span is %x, osemu's %s", i, resent, a.GetSpanId(), span)
		}
	}
	if first := attempts[0]; attribute(first.GetAttributes(), "error.type") != "429" || first.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		c.t.Errorf("the first attempt: %v", first)
	}
}

// TestUntrustedSamplingFlagIsIgnoredButFailuresAreTraced: a trace is exported only if
// its request failed.
func TestUntrustedSamplingFlagIsIgnoredButFailuresAreTraced(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	s := newStack(t, false)
	g := s.gateway(exportSettings(c.http, "http/protobuf", "OTEL_TRACES_SAMPLER_ARG=0", "CACHE_KEY_TTL=0")...)
	one := g.as("app-one")
	one.get(keyOne, traceparent(traceMiss)).is(http.StatusOK)
	s.emulator.setFault("", "500=1")
	one.get(keyOne, traceparent(traceDeny)).is(http.StatusInternalServerError)
	server, _ := c.awaitTrace(traceDeny)
	if why := attribute(server.GetAttributes(), "osgate.sampled"); why != "failed" {
		t.Errorf("exported as %q", why)
	}
	eventually(t, "the log record of the failure", func() bool { return len(c.logRecords(traceDeny)) > 0 })
	if spans, lines := c.trace(traceMiss), c.logRecords(traceMiss); len(spans)+len(lines) > 0 {
		t.Errorf("an untrusted client caused the sampling: %v %v", spanTree(spans), lines)
	}
	for _, r := range s.emulator.requests(hasTarget(http.MethodGet, keyOne)) {
		if !strings.HasSuffix(r.Traceparent, "-00") {
			t.Errorf("osemu received %s", r.Traceparent)
		}
	}
}

// lossCounters returns the counters of failed exports and of lost telemetry.
var lossCounters = []*regexp.Regexp{
	regexp.MustCompile(`osgate_telemetry_failures_total\{osgate_telemetry_signal="traces"\} [1-9]`),
	regexp.MustCompile(`osgate_telemetry_failures_total\{osgate_telemetry_signal="metrics"\} [1-9]`),
	regexp.MustCompile(`osgate_telemetry_failures_total\{osgate_telemetry_signal="logs"\} [1-9]`),
	regexp.MustCompile(`osgate_telemetry_dropped_total\{osgate_telemetry_signal="traces"\} [1-9]\d`), // more than the queue holds
	regexp.MustCompile(`osgate_telemetry_dropped_total\{osgate_telemetry_signal="logs"\} [1-9]\d`),
}

// TestUnavailableCollectorIsCountedAndAffectsNoRequest: the collector refuses
// connections, or accepts them without a response.
func TestUnavailableCollectorIsCountedAndAffectsNoRequest(t *testing.T) {
	t.Parallel()
	refusing := func(t *testing.T) string { return "127.0.0.1:" + freePort(t) }
	for name, tt := range map[string]struct {
		endpoint func(t *testing.T) string
		protocol string
	}{
		"refusing": {refusing, "http/protobuf"}, "silent": {startSilentListener, "http/protobuf"}, "refusing gRPC": {refusing, "grpc"}, "silent by gRPC": {startSilentListener, "grpc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, false)
			g := s.gateway(exportSettings("http://"+tt.endpoint(t), tt.protocol, "OTEL_TRACES_SAMPLER=always_on", "OTEL_BSP_EXPORT_TIMEOUT=300",
				"OTEL_BLRP_EXPORT_TIMEOUT=300", "OTEL_METRIC_EXPORT_TIMEOUT=300", "OTEL_BSP_MAX_QUEUE_SIZE=8", "OTEL_BLRP_MAX_QUEUE_SIZE=8",
				"OTEL_EXPORTER_OTLP_HEADERS=api-key=a-key-not-to-be-shown", "RATE=0")...)
			s.addSecret("a-key-not-to-be-shown")
			one := g.as("app-one")
			admin := client{t: t, base: g.admin}
			for _, counter := range lossCounters {
				eventually(t, counter.String(), func() bool {
					sendDistinct(40, 0, one).checkStatuses(t, http.StatusOK, http.StatusNotFound) // more at once than a queue holds
					return counter.MatchString(admin.get("/metrics").body)
				})
			}
			if code := g.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("its exit code is %d", code)
			}
			if n := strings.Count(g.stderr.String(), "telemetry could not be exported"); n != 1 {
				t.Errorf("%d lines report the failure of the collector", n)
			}
		})
	}
}

// startSilentListener accepts connections and sends nothing on them.
func startSilentListener(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the system accepts connections before the program does
}

// TestReplicasHaveDistinctInstanceIDs: each replica has an ID of its own, which is the
// same for all three signals.
func TestReplicasHaveDistinctInstanceIDs(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	s := newStack(t, false)
	for range 2 {
		s.gateway(exportSettings(c.http, "http/protobuf", "OTEL_TRACES_SAMPLER=always_on")...).as("app-one").get(keyOne).is(http.StatusOK)
	}
	eventually(t, "all signals of both", func() bool {
		whole, partly := c.senders()
		return len(whole) == 2 && len(partly) == 0
	})
}

// TestUnknownExporterIsReported: the start and osgate check name the variable.
func TestUnknownExporterIsReported(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "check"} {
		f := runProgram(t, programs.osgate, []string{"OTEL_TRACES_EXPORTER=zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL=carrier-pigeon", "OTEL_LOGS_EXPORTER=otlp"}, command)
		if f.code != 2 || !strings.Contains(f.stderr, "OTEL_TRACES_EXPORTER") || !strings.Contains(f.stderr, "OTEL_EXPORTER_OTLP_PROTOCOL") ||
			strings.Contains(f.stderr, "zipkin") || strings.Contains(f.stderr, "pigeon") {
			t.Errorf("the exit code of %s is %d:\n%s", command, f.code, f.stderr)
		}
	}
}
