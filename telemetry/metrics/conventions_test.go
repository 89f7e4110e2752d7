package metrics_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/goconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/processconv"

	"osgate/telemetry/metrics"
)

// convention is an instrument of the semantic conventions.
type convention interface {
	Name() string
	Unit() string
}

// conventions contains the instruments of the semantic conventions that the gateway
// shows, each with its required attributes. The methods of its type whose names begin
// with Attr are its optional attributes.
var conventions = map[convention][]attribute.Key{
	httpconv.ServerRequestDuration{}:  {semconv.HTTPRequestMethodKey, semconv.URLSchemeKey},
	httpconv.ServerActiveRequests{}:   {semconv.HTTPRequestMethodKey, semconv.URLSchemeKey},
	httpconv.ServerRequestBodySize{}:  {semconv.HTTPRequestMethodKey, semconv.URLSchemeKey},
	httpconv.ServerResponseBodySize{}: {semconv.HTTPRequestMethodKey, semconv.URLSchemeKey},
	httpconv.ClientRequestDuration{}:  {semconv.HTTPRequestMethodKey, semconv.ServerAddressKey, semconv.ServerPortKey},

	dbconv.ClientOperationDuration{}:  {semconv.DBSystemNameKey},
	dbconv.ClientConnectionCount{}:    {semconv.DBClientConnectionPoolNameKey, semconv.DBClientConnectionStateKey},
	dbconv.ClientConnectionTimeouts{}: {semconv.DBClientConnectionPoolNameKey},

	goconv.MemoryUsed{}: nil, goconv.MemoryLimit{}: nil, goconv.MemoryAllocated{}: nil, goconv.MemoryAllocations{}: nil,
	goconv.MemoryGCGoal{}: nil, goconv.MemoryGCCycles{}: nil, goconv.GoroutineCount{}: nil, goconv.ProcessorLimit{}: nil,

	processconv.CPUTime{}: nil, processconv.MemoryUsage{}: nil, processconv.MemoryVirtual{}: nil,
	processconv.UnixFileDescriptorCount{}: nil, processconv.Uptime{}: nil,
}

// optional returns the optional attributes of an instrument.
func optional(c convention) (keys []attribute.Key) {
	v := reflect.ValueOf(c)
	for i := range v.NumMethod() {
		if !strings.HasPrefix(v.Type().Method(i).Name, "Attr") {
			continue
		}
		zero := reflect.Zero(v.Method(i).Type().In(0))
		keys = append(keys, v.Method(i).Call([]reflect.Value{zero})[0].Interface().(attribute.KeyValue).Key) //nolint:errcheck // all Attr methods return one
	}
	return keys
}

// ours reports whether a name is in a namespace of the gateway, which the semantic
// conventions leave to their users.
func ours(name string) bool {
	return strings.HasPrefix(name, "osgate.") || strings.HasPrefix(name, "osv2.")
}

// points returns the attributes of each data point of a metric, and its kind.
func points(data metricdata.Aggregation) (kind string, sets []attribute.Set) {
	v := reflect.ValueOf(data)
	for i := range v.FieldByName("DataPoints").Len() {
		sets = append(sets, v.FieldByName("DataPoints").Index(i).FieldByName("Attributes").Interface().(attribute.Set)) //nolint:errcheck // it is one
	}
	kind, _, _ = strings.Cut(v.Type().Name(), "[")
	if m := v.FieldByName("IsMonotonic"); m.IsValid() && !m.Bool() {
		kind = "UpDownCounter"
	}
	return strings.Replace(kind, "Sum", "Counter", 1), sets
}

// The name, unit, kind and attributes of each metric follow the conventions, except the
// gateway's own.
func TestMetricsKeepToTheSemanticConventions(t *testing.T) {
	process, err := metrics.NewProcess(metric.DefaultTemporalitySelector)
	if err != nil {
		t.Fatal(err)
	}
	reader := metric.NewManualReader(metric.WithProducer(process))
	everything(t, reader)
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	known := map[string]convention{}
	for c := range conventions {
		known[c.Name()] = c
	}
	var metrics []metricdata.Metrics
	for _, scope := range all.ScopeMetrics {
		metrics = append(metrics, scope.Metrics...)
	}
	for _, m := range metrics {
		c, isKnown := known[m.Name]
		if !isKnown && !ours(m.Name) {
			t.Errorf("%s is neither one of ours nor of the semantic conventions", m.Name)
			continue
		}
		delete(known, m.Name)
		kind, sets := points(m.Data)
		if isKnown {
			checkConvention(t, m, c, kind)
		}
		for _, set := range sets {
			checkAttributes(t, m.Name, c, set)
		}
	}
	delete(known, goconv.MemoryLimit{}.Name()) // where there is a limit
	for name := range known {
		t.Errorf("%s is not shown", name)
	}
}

// checkConvention checks the unit, the kind and the required attributes.
func checkConvention(t *testing.T, m metricdata.Metrics, c convention, kind string) {
	t.Helper()
	inst, _ := reflect.TypeOf(c).MethodByName("Inst")
	if want := inst.Type.Out(0).Name(); m.Unit != c.Unit() || !strings.HasSuffix(want, kind) || kind == "Counter" && strings.HasSuffix(want, "UpDownCounter") {
		t.Errorf("%s is a %s with unit %q, want %s and %q", m.Name, kind, m.Unit, want, c.Unit())
	}
}

// checkAttributes checks the attributes of one data point. c is nil for a metric of the
// gateway's own.
func checkAttributes(t *testing.T, name string, c convention, set attribute.Set) {
	t.Helper()
	if set.HasValue("otel.metric.overflow") {
		return
	}
	var allowed []attribute.Key
	if c != nil {
		for _, key := range conventions[c] {
			if !set.HasValue(key) {
				t.Errorf("%s has a point without %s: %v", name, key, set.ToSlice())
			}
		}
		allowed = append(optional(c), conventions[c]...)
	}
	for _, kv := range set.ToSlice() {
		if c != nil && !ours(string(kv.Key)) && !slices.Contains(allowed, kv.Key) {
			t.Errorf("%s has %s, which is not among %s", name, kv.Key, fmt.Sprint(allowed))
		}
		if c == nil && !ours(string(kv.Key)) && !slices.Contains(lent, kv.Key) {
			t.Errorf("%s has %s, which is neither ours nor one that is known", name, kv.Key)
		}
	}
}

// lent contains the attributes of the semantic conventions that the gateway's own
// metrics use.
var lent = []attribute.Key{
	semconv.HTTPResponseStatusCodeKey, semconv.ErrorTypeKey, semconv.NetworkIODirectionKey, semconv.ProcessRuntimeVersionKey,
	semconv.ServiceVersionKey, semconv.VCSRefHeadRevisionKey, semconv.DBSystemNameKey,
}
