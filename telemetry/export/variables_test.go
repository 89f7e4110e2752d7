package export_test

import (
	"strings"
	"testing"

	"osgate/telemetry/export"
)

// exported returns variables that export all signals to a collector, and the given
// ones.
func exported(more ...string) map[string]string {
	variables := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
	for i := 0; i < len(more); i += 2 {
		variables[more[i]] = more[i+1]
	}
	return variables
}

func TestVariablesThatTheSDKWouldMisreadAreReported(t *testing.T) {
	const disabled, propagators, filter = "OTEL_SDK_DISABLED", "OTEL_PROPAGATORS", "OTEL_METRICS_EXEMPLAR_FILTER"
	const temporality, aggregation = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
	const insecure, ownInsecure = "OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_LOGS_INSECURE"
	checkNamed(t, map[string]exporting{
		"disabled by yes":             {exported(disabled, "yes"), []string{disabled}},
		"disabled by a number":        {exported(disabled, "1"), []string{disabled}},
		"disabled with a space":       {exported(disabled, "true ", "OTEL_TRACES_EXPORTER", "zipkin"), nil},
		"disabled, upper":             {exported(disabled, "TRUE", "OTEL_TRACES_EXPORTER", "zipkin"), nil},
		"not disabled":                {exported(disabled, "False", "OTEL_TRACES_EXPORTER", "zipkin"), []string{"OTEL_TRACES_EXPORTER"}},
		"no propagators":              {exported(propagators, "none"), []string{propagators}},
		"others":                      {exported(propagators, "tracecontext,b3"), []string{propagators}},
		"baggage alone":               {exported(propagators, "baggage"), []string{propagators}},
		"traceparent":                 {exported(propagators, "tracecontext"), nil},
		"traceparent and baggage":     {exported(propagators, "tracecontext, baggage"), nil},
		"propagators that are unused": {exported(propagators, "b3", "OTEL_TRACES_EXPORTER", "none"), nil},
		"enumerations": {
			exported(temporality, secret, aggregation, secret, filter, secret, insecure, secret), []string{temporality, aggregation, filter, insecure},
		},
		"plain, but not by the endpoint": {exported("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318", insecure, "true"), []string{insecure}},
		"not plain, but by the endpoint": {exported(ownInsecure, "false"), []string{ownInsecure}},
		"a signal's own":                 {exported(ownInsecure, secret), []string{ownInsecure}},
		"enumerations as allowed":        {exported(temporality, "Delta", aggregation, "base2_exponential_bucket_histogram", filter, "always_off", insecure, "true"), nil},
		"once for three signals":         {exported("OTEL_EXPORTER_OTLP_ENDPOINT", secret), []string{"OTEL_EXPORTER_OTLP_ENDPOINT"}},
	})
}

// The SDK would print invalid limits with their values on standard error.
func TestLimitsOfTheSDKAreNumbers(t *testing.T) {
	rows := map[string]exporting{}
	for _, variable := range []string{
		"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
	} {
		rows[variable+" no number"] = exporting{exported(variable, secret), []string{variable}}
		rows[variable+" below none"] = exporting{exported(variable, "-2"), []string{variable}}
		rows[variable+" with a space"] = exporting{exported(variable, "5 "), []string{variable}}
		rows[variable+" none"] = exporting{exported(variable, "-1"), nil}
		rows[variable+" not used"] = exporting{map[string]string{variable: secret}, nil}
	}
	checkNamed(t, rows)
}

// Some exporters trim their variables, others use the untrimmed value, even as a host
// name.
func TestSpacesAroundWhatOthersReadAreRefused(t *testing.T) {
	good := map[string]string{
		"ENDPOINT": "http://collector:4318", "PROTOCOL": "grpc", "HEADERS": "api-key=a", "TIMEOUT": "5000", "COMPRESSION": "gzip", "INSECURE": "true",
	}
	rows := map[string]exporting{}
	for name, value := range good {
		for _, variable := range []string{"OTEL_EXPORTER_OTLP_" + name, "OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_LOGS_" + name} {
			rows[variable+" as it should be"] = exporting{exported(variable, value), nil}
			for _, with := range []string{value + " ", value + "\n", "\t" + value} {
				rows[variable+" "+with] = exporting{exported(variable, with), []string{variable}}
			}
		}
	}
	for _, variable := range []string{"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"} {
		rows[variable] = exporting{exported(variable, "5000\n"), []string{variable}}
	}
	rows["nothing but a space"] = exporting{exported("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", " "), []string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"}}
	checkNamed(t, rows)
}

func TestDisabledSDKExportsNothingAlsoWithSpacesInTheVariable(t *testing.T) {
	plan, err := export.ReadPlan(environment(exported("OTEL_SDK_DISABLED", strings.ToUpper("true")+"\n")))
	if err != nil || plan.Traces() {
		t.Errorf("traces %v, %v", plan.Traces(), err)
	}
}
