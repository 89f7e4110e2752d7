package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// signal is a kind of telemetry.
type signal uint8

const (
	signalTraces signal = iota
	signalMetrics
	signalLogs
	signals
)

// String returns the signal's name as attributes write it.
func (s signal) String() string { return [signals]string{"traces", "metrics", "logs"}[s] }

// variable returns the signal's name as variables write it.
func (s signal) variable() string { return strings.ToUpper(s.String()) }

// The exporters and protocols of OpenTelemetry that can be chosen.
const (
	exporterNone    = "none"
	exporterConsole = "console"
	exporterOTLP    = "otlp"

	exporterPrometheus = "prometheus" // of metrics

	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

// ExportError is a variable of OpenTelemetry that cannot be used. It never holds the value, which may be a secret.
type ExportError struct{ Variable, Detail string }

// Error implements error.
func (e *ExportError) Error() string { return e.Variable + ": " + e.Detail }

// Exporting says what is exported and how, as OpenTelemetry's variables choose it. The zero Exporting exports nothing.
type Exporting struct {
	sampling  Sampling
	everyLine bool // of the access log goes out, not only those of sampled traces and of what failed
	exporters [signals][]string
	grpc      [signals]bool
	spans     batching
	records   batching
	interval  time.Duration // between two pushes of metrics
	timeout   time.Duration // of one
}

// batching are the bounds of what waits to be exported, as OTEL_BSP_* (spans) and OTEL_BLRP_* (log records) name them.
type batching struct {
	delay, timeout time.Duration
	queue, size    int
}

// Traces reports whether traces are exported.
func (e Exporting) Traces() bool { return len(e.exporters[signalTraces]) > 0 && !e.sampling.off }

// ReadExporting reads OTEL_SDK_DISABLED, OTEL_{TRACES,METRICS,LOGS}_EXPORTER (none, console, otlp, or a list of them; where unset otlp, if
// OTEL_EXPORTER_OTLP_ENDPOINT or the signal's own is set, else none), OTEL_EXPORTER_OTLP_*_PROTOCOL, OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG,
// OTEL_METRIC_EXPORT_*, OTEL_BSP_* and OTEL_BLRP_*; the sampler only where traces are exported. Where OTEL_LOGS_EXPORTER itself is unset, the access log's
// records follow the traces' sampling.
//
// The exporters read their own variables; what they would print because they cannot read it, secrets too, is found here. The error joins an
// [ExportError] for each variable that cannot be used.
func ReadExporting(getenv func(string) string) (e Exporting, err error) {
	r := reader{getenv: func(name string) string { return strings.TrimSpace(getenv(name)) }}
	r.resource()
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return e, errors.Join(r.problems...)
	}
	for s := range signals {
		if e.exporters[s] = r.exporters(s); slices.Contains(e.exporters[s], exporterOTLP) {
			e.grpc[s] = r.grpc(s)
			r.otlp(s)
		}
	}
	e.everyLine = r.getenv("OTEL_LOGS_EXPORTER") != ""
	if len(e.exporters[signalTraces]) > 0 {
		e.sampling, err = readSampling(r.getenv)
		r.problems = append(r.problems, err)
	}
	e.spans = r.batching("OTEL_BSP_", 5*time.Second)
	e.records = r.batching("OTEL_BLRP_", time.Second)
	e.interval = r.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", time.Minute)
	e.timeout = r.milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", exportTimeout)
	return e, errors.Join(r.problems...)
}

// exportTimeout bounds a single export: less than OpenTelemetry's 30 s, so that a collector that hangs is known to be away before the queue is full.
const exportTimeout = 10 * time.Second

// batching reads the four variables of a batch.
func (r *reader) batching(prefix string, delay time.Duration) batching {
	return batching{
		delay:   r.milliseconds(prefix+"SCHEDULE_DELAY", delay),
		timeout: r.milliseconds(prefix+"EXPORT_TIMEOUT", exportTimeout),
		queue:   r.number(prefix+"MAX_QUEUE_SIZE", 2048, 1<<20),
		size:    r.number(prefix+"MAX_EXPORT_BATCH_SIZE", 512, 1<<16),
	}
}

// reader reads variables and collects what is wrong with them.
type reader struct {
	getenv   func(string) string
	problems []error
}

func (r *reader) complain(variable, format string, a ...any) {
	r.problems = append(r.problems, &ExportError{variable, fmt.Sprintf(format, a...)})
}

// resource checks what is told of this process, of which the SDK would tell the part that it cannot read.
func (r *reader) resource() {
	const attributes, name = "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"
	if !utf8.ValidString(r.getenv(name)) {
		r.complain(name, "must be UTF-8")
	}
	text := r.getenv(attributes)
	if text == "" {
		return
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(pair, "=")
		plain, err := url.PathUnescape(value)
		if !ok || err != nil || strings.TrimSpace(key) == "" || !utf8.ValidString(key+plain) {
			r.complain(attributes, "must be a list such as name=value,name=value, with values as in URLs")
			return
		}
	}
}

// exporters returns which exporters a signal has.
func (r *reader) exporters(s signal) (chosen []string) {
	variable := "OTEL_" + s.variable() + "_EXPORTER"
	text := r.getenv(variable)
	if text == "" && (r.getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || r.getenv("OTEL_EXPORTER_OTLP_"+s.variable()+"_ENDPOINT") != "") {
		text = exporterOTLP
	}
	for name := range strings.SplitSeq(text, ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "", name == exporterNone, name == exporterPrometheus && s == signalMetrics: // it is served in any case
		case name == exporterConsole, name == exporterOTLP:
			if !slices.Contains(chosen, name) {
				chosen = append(chosen, name)
			}
		default:
			r.complain(variable, "must be none, console, otlp, or a list of them; Prometheus is served at /metrics in any case")
		}
	}
	return chosen
}

// of returns the value of a variable of the OTLP exporter, the signal's own before that of all, and the name under which it was found.
func (r *reader) of(s signal, name string) (value, variable string) {
	for _, variable = range []string{"OTEL_EXPORTER_OTLP_" + s.variable() + "_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value = r.getenv(variable); value != "" {
			return value, variable
		}
	}
	return "", variable
}

// grpc reports whether a signal goes out by gRPC and not by HTTP.
func (r *reader) grpc(s signal) bool {
	value, variable := r.of(s, "PROTOCOL")
	switch value {
	case "", protocolHTTP, protocolGRPC:
	default:
		r.complain(variable, "must be %s or %s", protocolHTTP, protocolGRPC)
	}
	return value == protocolGRPC
}

// otlp checks what the exporters themselves would drop and tell on standard error, secrets in it or not.
func (r *reader) otlp(s signal) {
	if value, variable := r.of(s, "ENDPOINT"); value != "" {
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			r.complain(variable, "must be a URL such as http://collector:4318")
		}
	}
	if value, variable := r.of(s, "TIMEOUT"); value != "" {
		r.milliseconds(variable, 0)
	}
	if value, variable := r.of(s, "HEADERS"); value != "" && !areHeaders(value) {
		r.complain(variable, "must be a list such as name=value,name=value, with values as in URLs")
	}
	if value, variable := r.of(s, "COMPRESSION"); value != "" && value != "gzip" && value != exporterNone {
		r.complain(variable, "must be gzip or none")
	}
	r.files(s)
}

// files checks that what the exporters load can be loaded.
func (r *reader) files(s signal) {
	if file, variable := r.of(s, "CERTIFICATE"); file != "" {
		if pem, err := os.ReadFile(file); err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
			r.complain(variable, "names no file with PEM certificates")
		}
	}
	certificate, variable := r.of(s, "CLIENT_CERTIFICATE")
	key, _ := r.of(s, "CLIENT_KEY")
	if certificate == "" && key == "" {
		return
	}
	if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
		r.complain(variable, "and the one of the same name for CLIENT_KEY must name a PEM certificate and its private key")
	}
}

// areHeaders reports whether the exporters can read all of a list of headers.
func areHeaders(text string) bool {
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		plain, err := url.PathUnescape(value)
		if !ok || err != nil || !httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) || !httpguts.ValidHeaderFieldValue(plain) {
			return false
		}
	}
	return true
}

// milliseconds reads a duration as OpenTelemetry writes it.
func (r *reader) milliseconds(variable string, otherwise time.Duration) time.Duration {
	return time.Duration(r.number(variable, int(otherwise/time.Millisecond), int(time.Hour/time.Millisecond))) * time.Millisecond
}

// number reads a positive number.
func (r *reader) number(variable string, otherwise, most int) int {
	text := r.getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		r.complain(variable, "must be a number from 1 to %d", most)
		return otherwise
	}
	return n
}
