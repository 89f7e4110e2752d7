package export

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// signal is a kind of telemetry.
type signal uint8

const (
	signalTraces signal = iota
	signalMetrics
	signalLogs
	signals
)

// String returns the signal's name as in attributes.
func (s signal) String() string { return [signals]string{"traces", "metrics", "logs"}[s] }

// variable returns the signal's name as in environment variables.
func (s signal) variable() string { return strings.ToUpper(s.String()) }

// The exporters and protocols that OpenTelemetry's variables can select.
const (
	exporterNone    = "none"
	exporterConsole = "console"
	exporterOTLP    = "otlp"

	exporterPrometheus = "prometheus" // of metrics

	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

// VariableError reports an environment variable of OpenTelemetry with an unusable value.
// It never contains the value, which may be a secret.
type VariableError struct{ Variable, Detail string }

// Error implements error.
func (e *VariableError) Error() string { return e.Variable + ": " + e.Detail }

// Plan is the configuration of the exports, from OpenTelemetry's variables. The
// zero Plan exports nothing.
type Plan struct {
	sampling  sampling
	everyLine bool // export every line of the access log, not only those of sampled traces and failures
	exporters [signals][]string
	grpc      [signals]bool
	http      [signals]collectorHTTP
	spans     batching
	records   batching
	interval  time.Duration // between two pushes of metrics
	timeout   time.Duration // of one push
}

// batching contains the limits of a queue of items to export, as in OTEL_BSP_* (spans)
// and OTEL_BLRP_* (log records).
type batching struct {
	delay, timeout time.Duration
	queue, size    int
}

// Traces reports whether traces are exported.
func (e Plan) Traces() bool { return len(e.exporters[signalTraces]) > 0 && !e.sampling.off }

// ReadPlan reads OTEL_SDK_DISABLED, OTEL_{TRACES,METRICS,LOGS}_EXPORTER (none,
// console, otlp, or a list of them; if unset, otlp if OTEL_EXPORTER_OTLP_ENDPOINT or
// the signal's own is set, otherwise none), OTEL_EXPORTER_OTLP_*_PROTOCOL,
// OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_METRIC_EXPORT_*, OTEL_BSP_* and
// OTEL_BLRP_*. Variables for a single signal (its samplers, propagators and limits) are
// read only if that signal is exported. If OTEL_LOGS_EXPORTER itself is unset, the
// records of the access log follow the sampling of the traces.
//
// The exporters and the SDK read their own variables too. They print values that they
// cannot parse, which may be secrets, or silently misread them; ReadPlan finds
// these values first. The error joins an [VariableError] for each variable that cannot be
// used.
func ReadPlan(getenv func(string) string) (e Plan, err error) {
	r := reader{raw: getenv}
	r.resource()
	if r.choice("OTEL_SDK_DISABLED", "true", "false") == "true" {
		return e, errors.Join(r.problems...)
	}
	for s := range signals {
		if e.exporters[s] = r.exporters(s); slices.Contains(e.exporters[s], exporterOTLP) {
			e.grpc[s] = r.grpc(s)
			e.http[s] = r.otlp(s)
		}
		if len(e.exporters[s]) > 0 {
			r.limits(s)
		}
	}
	e.everyLine = r.getenv("OTEL_LOGS_EXPORTER") != ""
	if len(e.exporters[signalTraces]) > 0 {
		r.propagators()
		e.sampling, err = readSampling(r.getenv)
		r.problems = append(r.problems, err)
	}
	r.choice("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", "always_off", "trace_based")
	e.spans = r.batching("OTEL_BSP_", 5*time.Second)
	e.records = r.batching("OTEL_BLRP_", time.Second)
	r.exactly("OTEL_METRIC_EXPORT_INTERVAL")
	e.interval = r.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", time.Minute)
	r.exactly("OTEL_METRIC_EXPORT_TIMEOUT")
	e.timeout = r.milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", exportTimeout)
	return e, errors.Join(r.problems...)
}

// exportTimeout is the timeout of a single export. It is shorter than OpenTelemetry's
// 30 s, so that a hanging collector is detected before the queue is full.
const exportTimeout = 10 * time.Second
