// Package metrics counts and times exchanges for Prometheus, and for collectors to which
// they are pushed.
//
// The idea a reader needs: [Metrics] is a record.Keeper that receives an exchange once,
// when it is over, and its memory does not grow with traffic. The labels of a metric
// come from closed lists of the gateway (operation, plane, region, code, outcome), or
// are a status of Object Store; a store, a key, a client or an organization is never a
// label. Values of other packages are functions that are called at each scrape.
//
// The package starts no goroutine and logs nothing; the SDK's readers do start some.
package metrics

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
	"osgate/telemetry/attributes"
)

// Options configures [Metrics]. The zero Options work.
type Options struct {
	Version string // of the program, for service.version; empty: not shown
	TLS     bool   // clients use https
	Gauges  Gauges

	// Instance is the random id of this process, for service.instance.id, see package
	// export. If it is empty, it and host.name are not shown.
	Instance string

	Readers []sdk.Reader // further readers of the metrics, see package export; shut down with [Metrics]
	Sources Sources

	// Exports reports the exports to collectors that failed since the start, and the items
	// that were never exported, by signal: "traces", "metrics", "logs". Unlike Gauges and
	// Sources it can be read from the start. Nil: not shown.
	Exports func(report func(signal string, failed, dropped int64))

	// Ready reports whether Gauges and Sources can be read. A push of metrics may begin
	// before their values exist. Nil: they can be read from the start.
	Ready func() bool

	// Server returns the host and port to which exchanges of a surface, plane and
	// region are sent, for http.client.request.duration. It is called once for each
	// label set. If it is nil or returns an empty host, host and port are not shown;
	// plane and region always are.
	Server func(surface record.Surface, plane, region string) (host string, port int)
}

// Metrics is a [record.Keeper] that counts and times exchanges with OpenTelemetry's
// metrics SDK, and shows the sums in Prometheus's format. docs/metrics.md describes
// the instruments. It has its own registry and provider and sets no global state. It is
// safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	provider *sdk.MeterProvider
	options  Options

	instruments
	rows
}

// New returns Metrics without exchanges. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES add attributes of this process (the metric target_info). An
// error names the instrument or attribute that caused it.
func New(ctx context.Context, o Options) (*Metrics, error) {
	about, err := attributes.Process(ctx, o.Version, o.Instance)
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
		exporter.WithoutScopeInfo(), // there is only one scope
	)
	if err != nil {
		return nil, fmt.Errorf("making the Prometheus exporter: %w", err)
	}
	// table limits the label sets
	provider := []sdk.Option{sdk.WithReader(reader), sdk.WithResource(about), sdk.WithCardinalityLimit(0)}
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
	if err := m.observeExports(); err != nil {
		return nil, err
	}
	return m, nil
}

// maxScrapes is the maximum number of concurrent scrapes; further ones are answered
// 503.
const maxScrapes = 4

// Handler returns the handler of /metrics: Prometheus's text format, or OpenMetrics if
// the request accepts it.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true,
	})
}

// Shutdown stops the provider. Readers send their remaining data before ctx ends.
// Metrics still accepts exchanges afterwards, and ignores them.
func (m *Metrics) Shutdown(ctx context.Context) error {
	if err := m.provider.Shutdown(ctx); err != nil && !errors.Is(err, sdk.ErrReaderShutdown) {
		return fmt.Errorf("shutting down metrics: %w", err)
	}
	return nil
}
