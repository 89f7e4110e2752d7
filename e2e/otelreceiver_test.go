package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// collector receives OTLP over HTTP and gRPC, and keeps each message, decoded and in
// bytes.
type collector struct {
	t         testing.TB
	http      string // endpoints
	grpc      string
	mu        sync.Mutex
	raw       bytes.Buffer        // guarded by mu, like all fields below
	spans     []*tracepb.Span     // of all resources
	metrics   map[string]bool     // by name
	records   []*logspb.LogRecord // of all resources
	services  map[string]bool     // the names of the senders
	instances map[string]int      // the ids of the senders, and the signals that each has sent, a bit for each signal
}

func startCollector(t testing.TB) *collector {
	t.Helper()
	c := &collector{t: t, metrics: map[string]bool{}, services: map[string]bool{}, instances: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(server.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	remote := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(remote, traceService{c: c})
	collectormetrics.RegisterMetricsServiceServer(remote, metricsService{c: c})
	collectorlogs.RegisterLogsServiceServer(remote, logsService{c: c})
	go func() { _ = remote.Serve(listener) }() // ends with Stop
	t.Cleanup(remote.Stop)
	c.http, c.grpc = server.URL, "http://"+listener.Addr().String()
	return c
}

// receive serves the HTTP form of the protocol (OTLP 1.10, "OTLP/HTTP").
func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var message proto.Message
	switch r.URL.Path {
	case "/v1/traces":
		message = &collectortrace.ExportTraceServiceRequest{}
	case "/v1/metrics":
		message = &collectormetrics.ExportMetricsServiceRequest{}
	case "/v1/logs":
		message = &collectorlogs.ExportLogsServiceRequest{}
	}
	if message == nil || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, message) != nil {
		c.t.Errorf("the collector received %s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.add(message)
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty message is an empty body
}

// add decodes a message and adds its contents.
func (c *collector) add(message proto.Message) {
	text, _ := proto.Marshal(message) // it was just unmarshaled
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(text)
	switch m := message.(type) {
	case *collectortrace.ExportTraceServiceRequest:
		for _, of := range m.GetResourceSpans() {
			c.addSender(of.GetResource(), 1)
			for _, scope := range of.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	case *collectormetrics.ExportMetricsServiceRequest:
		for _, of := range m.GetResourceMetrics() {
			c.addSender(of.GetResource(), 2)
			for _, scope := range of.GetScopeMetrics() {
				for _, metric := range scope.GetMetrics() {
					c.metrics[metric.GetName()] = true
				}
			}
		}
	case *collectorlogs.ExportLogsServiceRequest:
		for _, of := range m.GetResourceLogs() {
			c.addSender(of.GetResource(), 4)
			for _, scope := range of.GetScopeLogs() {
				c.records = append(c.records, scope.GetLogRecords()...)
			}
		}
	}
}

// addSender records the process that sent a signal. c.mu is held.
func (c *collector) addSender(r *resourcepb.Resource, signal int) {
	c.services[attribute(r.GetAttributes(), "service.name")] = true
	c.instances[attribute(r.GetAttributes(), "service.instance.id")] |= signal
}

// senders returns the IDs of the processes that have sent traces, metrics and logs, and
// of those that have sent only some of them.
func (c *collector) senders() (whole, partly []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, sent := range c.instances {
		if id != "" && sent == 1|2|4 {
			whole = append(whole, id)
		} else {
			partly = append(partly, id)
		}
	}
	return whole, partly
}

// attribute returns the value of an attribute, or "" if it is missing.
func attribute(all []*commonpb.KeyValue, key string) string {
	for _, a := range all {
		if a.GetKey() == key {
			switch v := a.GetValue().GetValue().(type) {
			case *commonpb.AnyValue_StringValue:
				return v.StringValue
			default:
				text := a.GetValue().String()
				return text[strings.LastIndexByte(text, ':')+1:]
			}
		}
	}
	return ""
}

// trace returns the spans of a trace that were received so far.
func (c *collector) trace(id string) (spans []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) == id {
			spans = append(spans, s)
		}
	}
	return spans
}

// logRecords returns the log records of a trace, each as its message and span ID.
func (c *collector) logRecords(trace string) (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.records {
		if hex.EncodeToString(r.GetTraceId()) == trace {
			lines = append(lines, r.GetBody().GetStringValue()+" "+hex.EncodeToString(r.GetSpanId()))
		}
	}
	return lines
}

// hasMetric reports whether a metric was received.
func (c *collector) hasMetric(metric string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.metrics[metric]
}

// checkNoSecrets fails the test if a message contains one of these secrets.
func (c *collector) checkNoSecrets(secrets ...string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, secret := range secrets {
		if bytes.Contains(c.raw.Bytes(), []byte(secret)) {
			c.t.Errorf("%q was exported", secret)
		}
	}
	if c.raw.Len() == 0 || !c.services["osgate"] {
		c.t.Errorf("%d bytes were received, of %v", c.raw.Len(), c.services)
	}
}

// The gRPC form of the protocol.
type (
	traceService struct {
		collectortrace.UnimplementedTraceServiceServer
		c *collector
	}
	metricsService struct {
		collectormetrics.UnimplementedMetricsServiceServer
		c *collector
	}
	logsService struct {
		collectorlogs.UnimplementedLogsServiceServer
		c *collector
	}
)

func (s traceService) Export(_ context.Context, r *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	s.c.add(r)
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

func (s metricsService) Export(_ context.Context, r *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	s.c.add(r)
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

func (s logsService) Export(_ context.Context, r *collectorlogs.ExportLogsServiceRequest) (*collectorlogs.ExportLogsServiceResponse, error) {
	s.c.add(r)
	return &collectorlogs.ExportLogsServiceResponse{}, nil
}
