package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"osgate/record"
)

// Options set up [Metrics]. The zero Options work.
type Options struct {
	Version  string // of the program, told as service.version; empty: not told
	Instance string // of this process, told as service.instance.id and with host.name, see [Exports.Instance]; empty: neither is told
	TLS      bool   // clients speak https to the gateway
	Gauges   Gauges

	Readers []sdk.Reader // see the same metrics as Prometheus does, see [Exports]; shut down with [Metrics]
	Sources Sources

	// Ready reports whether Gauges and Sources can be read: what pushes metrics may begin before there is what they tell of. Nil: from the start.
	Ready func() bool

	// Server returns the host and port that exchanges of a surface, plane and region are sent to, for http.client.request.duration. It is called
	// once for each label set. Nil, or an empty host: not told; plane and region are in any case.
	Server func(surface record.Surface, plane, region string) (host string, port int)
}

// Metrics is a [record.Keeper] that counts and times exchanges by OpenTelemetry's metrics SDK, and shows the sums in Prometheus's form. The
// instruments are described in docs/operations.md. It has a registry and a provider of its own; nothing is global. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	provider *sdk.MeterProvider
	options  Options

	instruments
	rows
}

// NewMetrics returns Metrics that know of no exchange yet. OpenTelemetry's OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES add to what is told
// of this process (the metric target_info). An error says which instrument or attribute is at fault.
func NewMetrics(ctx context.Context, o Options) (*Metrics, error) {
	about, err := describe(ctx, o.Version, o.Instance)
	if err != nil {
		return nil, err
	}
	m := &Metrics{registry: prometheus.NewRegistry(), options: o, rows: newRows()}
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering the Go runtime's metrics: %w", err)
		}
	}
	reader, err := exporter.New(
		exporter.WithRegisterer(m.registry),
		exporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		exporter.WithoutScopeInfo(), // there is one scope
	)
	if err != nil {
		return nil, fmt.Errorf("making the Prometheus exporter: %w", err)
	}
	provider := []sdk.Option{sdk.WithReader(reader), sdk.WithResource(about), sdk.WithCardinalityLimit(0)} // table bounds label sets
	for _, further := range o.Readers {
		provider = append(provider, sdk.WithReader(further))
	}
	m.provider = sdk.NewMeterProvider(provider...)
	if m.instruments, err = newInstruments(m.provider.Meter("osgate")); err != nil {
		return nil, err
	}
	if err := m.observe(); err != nil {
		return nil, err
	}
	return m, nil
}

// maxScrapes bounds how many scrapes are answered at a time; those beyond it get 503.
const maxScrapes = 4

// Handler returns the handler of /metrics: Prometheus's text format, or OpenMetrics where that is asked for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true})
}

// Shutdown ends the provider: what readers still hold is sent, within ctx. Metrics keeps accepting exchanges, and forgets them.
func (m *Metrics) Shutdown(ctx context.Context) error {
	if err := m.provider.Shutdown(ctx); err != nil && !errors.Is(err, sdk.ErrReaderShutdown) {
		return fmt.Errorf("shutting down metrics: %w", err)
	}
	return nil
}
