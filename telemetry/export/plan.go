package export

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

// reader reads variables and collects the problems.
type reader struct {
	raw      func(variable string) string
	problems []error
}

// report adds a problem of a variable, once even if several signals read it.
func (r *reader) report(variable, format string, a ...any) {
	problem := VariableError{variable, fmt.Sprintf(format, a...)}
	if !slices.ContainsFunc(r.problems, func(err error) bool {
		known, ok := errors.AsType[*VariableError](err)
		return ok && *known == problem
	}) {
		r.problems = append(r.problems, &problem)
	}
}

// getenv returns a variable without surrounding spaces.
func (r *reader) getenv(variable string) string { return strings.TrimSpace(r.raw(variable)) }

// exactly returns a variable that the exporters read too. Some of them do not trim it,
// so it must not have surrounding spaces or newlines.
func (r *reader) exactly(variable string) string {
	if text := r.raw(variable); text != r.getenv(variable) {
		r.report(variable, "must not begin or end with a space or a newline")
	}
	return r.getenv(variable)
}

// choice returns a variable that has one of the given values, case-insensitively. It
// returns "" for any other value.
func (r *reader) choice(variable string, values ...string) string {
	text := strings.ToLower(r.getenv(variable))
	if text != "" && !slices.Contains(values, text) {
		r.report(variable, "must be %s or %s", strings.Join(values[:len(values)-1], ", "), values[len(values)-1])
		return ""
	}
	return text
}

// propagators checks that the selected propagators are supported.
func (r *reader) propagators() {
	const variable, supported = "OTEL_PROPAGATORS", "tracecontext"
	text := r.getenv(variable)
	names := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return c == ',' || c == ' ' })
	foreign := slices.ContainsFunc(names, func(name string) bool { return name != supported && name != "baggage" })
	if text != "" && (foreign || !slices.Contains(names, supported)) {
		r.report(variable, "must be %s, or %s,baggage: only traceparent is supported", supported, supported)
	}
}

// limits checks the variables with a signal's limits. The SDK would print invalid ones
// with their values.
func (r *reader) limits(s signal) {
	for _, variable := range [signals][]string{
		signalTraces: {
			"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT",
			"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
			"OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
			"OTEL_SPAN_LINK_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
		},
		signalLogs: {"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"},
	}[s] {
		text := r.exactly(variable)
		if n, err := strconv.Atoi(text); text != "" && (err != nil || n < -1) {
			r.report(variable, "must be a number not below 0, or -1 for no limit")
		}
	}
}

// resource checks the attributes of this process. The SDK would print the part that it
// cannot parse.
func (r *reader) resource() {
	const attributes, name = "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"
	if !utf8.ValidString(r.getenv(name)) {
		r.report(name, "must be UTF-8")
	}
	text := r.getenv(attributes)
	if text == "" {
		return
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(pair, "=")
		plain, err := url.PathUnescape(value)
		if !ok || err != nil || strings.TrimSpace(key) == "" || !utf8.ValidString(key+plain) {
			r.report(attributes, "must be a list such as name=value,name=value, with values as in URLs")
			return
		}
	}
}

// exporters returns the selected exporters of a signal.
func (r *reader) exporters(s signal) (chosen []string) {
	variable := "OTEL_" + s.variable() + "_EXPORTER"
	text := r.getenv(variable)
	if text == "" && (r.getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
		r.getenv("OTEL_EXPORTER_OTLP_"+s.variable()+"_ENDPOINT") != "") {
		text = exporterOTLP
	}
	for name := range strings.SplitSeq(text, ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "", name == exporterNone,
			name == exporterPrometheus && s == signalMetrics: // served at /metrics in any case
		case name == exporterConsole, name == exporterOTLP:
			if !slices.Contains(chosen, name) {
				chosen = append(chosen, name)
			}
		default:
			r.report(variable,
				"must be none, console, otlp, or a list of them; Prometheus is served at /metrics in any case")
		}
	}
	return chosen
}

// of returns the value and the name of a variable of the OTLP exporter. The signal's
// own variable takes precedence over that of all signals.
func (r *reader) of(s signal, name string) (value, variable string) {
	for _, variable = range []string{"OTEL_EXPORTER_OTLP_" + s.variable() + "_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value = r.exactly(variable); value != "" {
			return value, variable
		}
	}
	return "", variable
}

// grpc reports whether a signal is exported by gRPC instead of HTTP.
func (r *reader) grpc(s signal) bool {
	value, variable := r.of(s, "PROTOCOL")
	switch value {
	case "", protocolHTTP, protocolGRPC:
	default:
		r.report(variable, "must be %s or %s", protocolHTTP, protocolGRPC)
	}
	return value == protocolGRPC
}

// otlp checks the variables that the exporters would ignore and print on standard
// error, possibly with secrets. It returns the settings for OTLP over HTTP.
func (r *reader) otlp(s signal) collectorHTTP {
	c := collectorHTTP{timeout: exportTimeout}
	scheme := r.endpoint(s)
	if value, variable := r.of(s, "TIMEOUT"); value != "" {
		c.timeout = r.milliseconds(variable, c.timeout)
	}
	if value, variable := r.of(s, "HEADERS"); value != "" && !areHeaders(value) {
		r.report(variable, "must be a list such as name=value,name=value, with values as in URLs")
	}
	if value, variable := r.of(s, "COMPRESSION"); value != "" && value != "gzip" && value != exporterNone {
		r.report(variable, "must be gzip or none")
	}
	_, variable := r.of(s, "INSECURE")
	if insecure := r.choice(variable, "true", "false"); insecure != "" && scheme != "" &&
		(insecure == "true") != (scheme == "http") {
		r.report(variable, "contradicts the endpoint, which begins with %s://", scheme)
	}
	if s == signalMetrics {
		r.choice("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative", "delta", "lowmemory")
		r.choice("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
			"explicit_bucket_histogram", "base2_exponential_bucket_histogram")
	}
	if c.tls = r.files(s); c.tls != nil && scheme == "http" && !r.grpc(s) {
		_, variable := r.of(s, "ENDPOINT")
		r.report(variable, "must begin with https:// if certificates are set")
	}
	return c
}

// endpoint checks the endpoint of a signal and returns its scheme, "" if none is set.
func (r *reader) endpoint(s signal) (scheme string) {
	value, variable := r.of(s, "ENDPOINT")
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		r.report(variable, "must be a URL such as http://collector:4318")
		return ""
	}
	return u.Scheme
}

// files loads the root certificates and the client certificate, which the gRPC
// exporters load themselves. It returns nil if none are set.
func (r *reader) files(s signal) *tls.Config {
	c := tls.Config{MinVersion: tls.VersionTLS12}
	if file, variable := r.of(s, "CERTIFICATE"); file != "" {
		c.RootCAs = x509.NewCertPool()
		if pem, err := os.ReadFile(file); err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			r.report(variable, "must be the name of a file with PEM certificates")
		}
	}
	certificate, variable := r.of(s, "CLIENT_CERTIFICATE")
	if key, _ := r.of(s, "CLIENT_KEY"); certificate+key != "" {
		own, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			r.report(variable, "and the matching CLIENT_KEY must be files with a PEM certificate and its private key")
		}
		c.Certificates = []tls.Certificate{own}
	}
	if c.RootCAs == nil && c.Certificates == nil {
		return nil
	}
	return &c
}

// areHeaders reports whether the exporters can parse the whole list of headers.
func areHeaders(text string) bool {
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		plain, err := url.PathUnescape(value)
		if !ok || err != nil ||
			!httpguts.ValidHeaderFieldName(strings.TrimSpace(name)) || !httpguts.ValidHeaderFieldValue(plain) {
			return false
		}
	}
	return true
}

// milliseconds reads a duration in OpenTelemetry's format.
func (r *reader) milliseconds(variable string, fallback time.Duration) time.Duration {
	return time.Duration(r.number(variable,
		int(fallback/time.Millisecond), int(time.Hour/time.Millisecond))) * time.Millisecond
}

// number reads a positive number.
func (r *reader) number(variable string, fallback, most int) int {
	text := r.getenv(variable)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		r.report(variable, "must be a number from 1 to %d", most)
		return fallback
	}
	return n
}

// batching reads the four variables of a queue.
func (r *reader) batching(prefix string, delay time.Duration) batching {
	return batching{
		delay:   r.milliseconds(prefix+"SCHEDULE_DELAY", delay),
		timeout: r.milliseconds(prefix+"EXPORT_TIMEOUT", exportTimeout),
		queue:   r.number(prefix+"MAX_QUEUE_SIZE", 2048, 1<<20),
		size:    r.number(prefix+"MAX_EXPORT_BATCH_SIZE", 512, 1<<16),
	}
}
