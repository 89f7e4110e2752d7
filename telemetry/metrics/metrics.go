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
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

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

// instruments contains the metrics of exchanges. Values are recorded in histograms;
// counters are read from rows.
type instruments struct {
	meter metric.Meter

	serverDuration       metric.Float64Histogram
	clientDuration       metric.Float64Histogram
	redisDuration        metric.Float64Histogram
	controlPlaneDuration metric.Float64Histogram
	wait                 metric.Float64Histogram
	budgetWait           metric.Float64Histogram
	requestSize          metric.Int64Histogram
	responseSize         metric.Int64Histogram

	exchanges metric.Int64ObservableCounter
	bodies    metric.Int64ObservableCounter
	quota     metric.Int64ObservableCounter
	budget    metric.Int64ObservableCounter
	rules     metric.Int64ObservableCounter
	cache     metric.Int64ObservableCounter
	upstream  metric.Int64ObservableCounter
	closed    metric.Int64ObservableCounter
	billed    metric.Int64ObservableCounter
	saved     metric.Int64ObservableCounter
	units     metric.Int64ObservableCounter
}

// httpBuckets are the buckets, in seconds, that the semantic conventions for HTTP
// metrics recommend.
var httpBuckets = metric.WithExplicitBucketBoundaries(
	0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
)

// waitBuckets are the buckets, in seconds, for waiting because of a quota, at most five
// seconds by default.
var waitBuckets = metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5)

// redisBuckets are the buckets, in seconds, for round redisBuckets to Redis. The
// buckets of the semantic conventions begin at a millisecond, within which most round
// redisBuckets end, and extend to ten seconds, which none reaches: OSGATE_REDIS_TIMEOUT
// is 50 ms by default.
var redisBuckets = metric.WithExplicitBucketBoundaries(
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
)

// sizeBuckets are the buckets, in bytes, for bodies. 100,000 is the billing unit,
// 10,000,000 the largest value of Object Store.
var sizeBuckets = metric.WithExplicitBucketBoundaries(
	100, 1_000, 10_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000,
)

func newInstruments(meter metric.Meter) (instruments, error) {
	n := instrumentBuilder{meter: meter}
	made := instruments{
		meter: meter,

		serverDuration: n.histogram("http.server.request.duration",
			"Duration of exchanges, to the answer's last byte.", httpBuckets),
		clientDuration: n.histogram("http.client.request.duration",
			"Duration of each attempt upstream, to the answer's first byte.", httpBuckets),
		redisDuration: n.histogram("db.client.operation.duration",
			"Duration of round trips to Redis, with the wait for a connection.", redisBuckets),
		controlPlaneDuration: n.histogram("osgate.identity.asking.duration",
			"Duration of calls to a control plane to validate a token.", httpBuckets),
		wait: n.histogram("osgate.quota.wait", "Time that exchanges waited because of the quota.", waitBuckets),
		budgetWait: n.histogram("osgate.budget.wait",
			"Time that requests waited because of the budget.", waitBuckets),
		requestSize:  n.sizes("http.server.request.body.size", "Sizes of request bodies, without empty ones."),
		responseSize: n.sizes("http.server.response.body.size", "Sizes of response bodies, with empty ones."),

		exchanges: n.counter("osgate.exchanges", "{exchange}", "Exchanges that are over, including refused ones."),
		bodies: n.counter("osgate.body.io", "By",
			"Bytes of bodies read from clients (receive) and written to them (transmit)."),
		quota: n.counter("osgate.quota.decisions", "{decision}",
			"Decisions of the client quota; degraded: made without Redis."),
		budget: n.counter("osgate.budget.decisions", "{decision}",
			"Decisions of the budget over all clients; degraded: as for the quota."),
		rules: n.counter("osgate.policy.decisions", "{decision}", "Decisions of policy rules."),
		cache: n.counter("osgate.cache.lookups", "{lookup}", "Cacheable reads by the cache's result (RFC 9211)."),
		upstream: n.counter("osgate.upstream.requests", "{request}",
			"Requests sent upstream, by the status of their exchange's last one."),
		closed: n.counter("osgate.upstream.closed.connections", "{connection}",
			"Kept connections that upstream closed during a request: the request was sent again, or failed."),
		billed: n.counter("osgate.billing.units", "{unit}",
			"Billing units, one for each started 100 KB of a successful operation: answered to clients, and answered by Object Store."),
		saved: n.counter("osgate.cache.saved.requests", "{request}",
			"Object Store requests that were not sent because the cache answered."),
		units: n.counter("osgate.cache.saved.units", "{unit}",
			"Billing units of the saved requests: one for each started 100 KB of the answer (\"Object Store v2 usage\")."),
	}
	return made, n.err()
}

// instrumentBuilder makes instruments and collects the errors.
type instrumentBuilder struct {
	meter  metric.Meter
	ready  func() bool // nil: always
	errors []error
}

func (n *instrumentBuilder) histogram(
	name, description string, buckets metric.HistogramOption,
) metric.Float64Histogram {
	h, err := n.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), buckets)
	n.errors = append(n.errors, err)
	return h
}

func (n *instrumentBuilder) sizes(name, description string) metric.Int64Histogram {
	h, err := n.meter.Int64Histogram(name, metric.WithUnit("By"), metric.WithDescription(description), sizeBuckets)
	n.errors = append(n.errors, err)
	return h
}

func (n *instrumentBuilder) seconds(name, description string) metric.Float64ObservableGauge {
	g, err := n.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
	n.errors = append(n.errors, err)
	return g
}

func (n *instrumentBuilder) counter(name, unit, description string) metric.Int64ObservableCounter {
	c, err := n.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	n.errors = append(n.errors, err)
	return c
}

func (n *instrumentBuilder) gauge(name, unit, description string) metric.Int64ObservableGauge {
	g, err := n.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	n.errors = append(n.errors, err)
	return g
}

func (n *instrumentBuilder) upDownCounter(name, unit, description string) metric.Int64ObservableUpDownCounter {
	c, err := n.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	n.errors = append(n.errors, err)
	return c
}

func (n *instrumentBuilder) err() error {
	if err := errors.Join(n.errors...); err != nil {
		return fmt.Errorf("making metrics instruments: %w", err)
	}
	return nil
}

// observe registers the callbacks for the instruments that are read at each scrape: the
// counters' rows and the gauges.
func (m *Metrics) observe() error {
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m.rows.observe(o, m.instruments)
		return nil
	}, m.exchanges, m.bodies, m.quota, m.budget, m.rules, m.cache, m.upstream, m.closed, m.billed, m.saved, m.units)
	if err != nil {
		return fmt.Errorf("registering the counters: %w", err)
	}
	n := instrumentBuilder{meter: m.meter, ready: m.options.Ready}
	g := m.options.Gauges
	if g.ExchangesUnderWay != nil {
		m.observeUnderWay(&n)
	}
	if f := g.CacheBytes; f != nil {
		n.observe(n.gauge("osgate.cache.size", "By", "Memory of the cached answers in this process."), f)
	}
	if f := g.CacheEntries; f != nil {
		n.observe(n.gauge("osgate.cache.entries", "{entry}", "Cached answers in this process."), f)
	}
	n.observeCounts(n.counter("osgate.cache.events", "{event}", "Events in the cache, without lookups."),
		attrEvent, g.CacheEvents)
	n.observeCounts(n.gauge("osgate.cache.leases", "{lease}",
		"Leases of writes, during which reads bypass the cache: of writes under way, and kept after them."),
		attrLease, g.CacheLeases)
	if f := g.RedisUp; f != nil {
		n.observe(n.gauge("osgate.redis.up", "", "1 if Redis answers, otherwise 0."),
			func() int64 { return oneIf(f()) })
	}
	n.observeSources(&m.options.Sources, m.options.Version)
	return n.err()
}

// observeExports shows the counts of exports, if there is a function.
func (m *Metrics) observeExports() error {
	if m.options.Exports == nil {
		return nil
	}
	n := instrumentBuilder{meter: m.meter}
	failures := n.counter("osgate.telemetry.failures", "{export}", "Exports to a collector that failed.")
	dropped := n.counter("osgate.telemetry.dropped", "{item}", "Items that were never exported: "+
		"exchanges and log records because the queue was full, spans and log records of exports that failed.")
	n.register(func(_ context.Context, o metric.Observer) error {
		m.options.Exports(func(signal string, failed, lost int64) {
			about := metric.WithAttributes(attrSignal.String(signal))
			o.ObserveInt64(failures, failed, about)
			o.ObserveInt64(dropped, lost, about)
		})
		return nil
	}, failures, dropped)
	return n.err()
}

// observeUnderWay shows the exchanges that are under way.
func (m *Metrics) observeUnderWay(n *instrumentBuilder) {
	active := n.upDownCounter("http.server.active_requests", "{request}", "Exchanges under way.")
	n.register(func(_ context.Context, o metric.Observer) error {
		m.options.Gauges.ExchangesUnderWay(func(method string, count int64) {
			known := semconv.HTTPRequestMethodKey.String(attributes.KnownMethod(method))
			o.ObserveInt64(active, count, metric.WithAttributes(attributes.Scheme(m.options.TLS), known))
		})
		return nil
	}, active)
}

// observe reads the only value of an instrument from f.
func (n *instrumentBuilder) observe(instrument metric.Int64Observable, f func() int64) {
	n.register(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(instrument, f())
		return nil
	}, instrument)
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
