package telemetry

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// instruments are what Metrics shows beside gauges and sources. Histograms are recorded to, counters are read from rows.
type instruments struct {
	meter metric.Meter

	serverDuration metric.Float64Histogram
	clientDuration metric.Float64Histogram
	redisDuration  metric.Float64Histogram
	askingDuration metric.Float64Histogram
	wait           metric.Float64Histogram
	budgetWait     metric.Float64Histogram
	requestSize    metric.Int64Histogram
	responseSize   metric.Int64Histogram

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

// advised are the buckets, in seconds, that the semantic conventions for HTTP metrics ask for.
var advised = metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

// turns are the buckets for the wait for one's turn, which by default lasts five seconds at the most.
var turns = metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5)

// trips are the buckets for round trips to Redis. Those that the semantic conventions advise begin at a millisecond, where nearly all have ended, and
// go on to ten seconds, where none gets: OSGATE_REDIS_TIMEOUT is 50 ms by default.
var trips = metric.WithExplicitBucketBoundaries(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)

// sizes are the buckets, in bytes, for bodies. 100,000 is what is billed as one request, 10,000,000 the largest value of Object Store.
var sizes = metric.WithExplicitBucketBoundaries(100, 1_000, 10_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)

func newInstruments(meter metric.Meter) (instruments, error) {
	n := naming{meter: meter}
	made := instruments{
		meter: meter,

		serverDuration: n.histogram("http.server.request.duration", "Duration of exchanges, to the answer's last byte.", advised),
		clientDuration: n.histogram("http.client.request.duration", "Duration of requests to upstream, each attempt, to the answer's first byte.", advised),
		redisDuration:  n.histogram("db.client.operation.duration", "Duration of round trips to Redis, waiting for a connection included.", trips),
		askingDuration: n.histogram("osgate.identity.asking.duration", "Duration of askings of a control plane whose a token is.", advised),
		wait:           n.histogram("osgate.quota.wait", "How long exchanges waited for their turns, all kinds together.", turns),
		budgetWait:     n.histogram("osgate.budget.wait", "How long requests over the budget waited for their turn.", turns),
		requestSize:    n.sizes("http.server.request.body.size", "Sizes of request bodies, of exchanges that had one."),
		responseSize:   n.sizes("http.server.response.body.size", "Sizes of answers' bodies, empty ones included."),

		exchanges: n.counter("osgate.exchanges", "{exchange}", "Exchanges that are over, refused ones included."),
		bodies:    n.counter("osgate.body.io", "By", "Bytes of bodies read from clients (receive) and written to them (transmit)."),
		quota:     n.counter("osgate.quota.decisions", "{decision}", "Decisions of the client quota; degraded: taken in process because Redis was away."),
		budget:    n.counter("osgate.budget.decisions", "{decision}", "Decisions of the budget over all clients; degraded: as for the quota."),
		rules:     n.counter("osgate.policy.decisions", "{decision}", "Decisions of policy rules."),
		cache:     n.counter("osgate.cache.lookups", "{lookup}", "Cacheable reads by what became of them at the cache (RFC 9211)."),
		upstream:  n.counter("osgate.upstream.requests", "{request}", "Requests sent upstream, by the status of the last one of their exchange."),
		closed: n.counter("osgate.upstream.closed.connections", "{connection}",
			"Kept connections that upstream closed while a request was on its way: the request was sent again, or failed."),
		billed: n.counter("osgate.billing.units", "{unit}",
			"Billing units, one for each started 100 KB of a successful operation: of what clients were answered, and of what Object Store was asked."),
		saved: n.counter("osgate.cache.saved.requests", "{request}", "Object Store requests that need not be sent, because the cache answered."),
		units: n.counter("osgate.cache.saved.units", "{unit}",
			"What they would have been billed as: one for each started 100 KB of the answer (\"Object Store v2 usage\")."),
	}
	return made, n.err()
}

// naming makes instruments and keeps what went wrong.
type naming struct {
	meter  metric.Meter
	ready  func() bool // nil: always
	errors []error
}

func (n *naming) histogram(name, description string, buckets metric.HistogramOption) metric.Float64Histogram {
	h, err := n.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), buckets)
	n.errors = append(n.errors, err)
	return h
}

func (n *naming) sizes(name, description string) metric.Int64Histogram {
	h, err := n.meter.Int64Histogram(name, metric.WithUnit("By"), metric.WithDescription(description), sizes)
	n.errors = append(n.errors, err)
	return h
}

func (n *naming) seconds(name, description string) metric.Float64ObservableGauge {
	g, err := n.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
	n.errors = append(n.errors, err)
	return g
}

func (n *naming) counter(name, unit, description string) metric.Int64ObservableCounter {
	c, err := n.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	n.errors = append(n.errors, err)
	return c
}

func (n *naming) gauge(name, unit, description string) metric.Int64ObservableGauge {
	g, err := n.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	n.errors = append(n.errors, err)
	return g
}

func (n *naming) upDownCounter(name, unit, description string) metric.Int64ObservableUpDownCounter {
	c, err := n.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	n.errors = append(n.errors, err)
	return c
}

func (n *naming) err() error {
	if err := errors.Join(n.errors...); err != nil {
		return fmt.Errorf("making metrics instruments: %w", err)
	}
	return nil
}

// observe registers what is read when somebody asks: the counters' rows and the gauges.
func (m *Metrics) observe() error {
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m.rows.observe(o, m.instruments)
		return nil
	}, m.exchanges, m.bodies, m.quota, m.budget, m.rules, m.cache, m.upstream, m.closed, m.billed, m.saved, m.units)
	if err != nil {
		return fmt.Errorf("registering the counters: %w", err)
	}
	n := naming{meter: m.meter, ready: m.options.Ready}
	g := m.options.Gauges
	if g.ExchangesUnderWay != nil {
		m.observeUnderWay(&n)
	}
	if f := g.CacheBytes; f != nil {
		n.observe(n.gauge("osgate.cache.size", "By", "What cached answers take in this process."), f)
	}
	if f := g.CacheEntries; f != nil {
		n.observe(n.gauge("osgate.cache.entries", "{entry}", "Cached answers in this process."), f)
	}
	n.observeTold(n.counter("osgate.cache.events", "{event}", "What happened in the cache beside its lookups."), attrEvent, g.CacheEvents)
	n.observeTold(n.gauge("osgate.cache.leases", "{lease}", "Leases of writes, which keep reads past the cache: of writes under way, and kept after them."),
		attrLease, g.CacheLeases)
	if f := g.RedisUp; f != nil {
		n.observe(n.gauge("osgate.redis.up", "", "1 where Redis answers, else 0."), func() int64 { return oneIf(f()) })
	}
	n.observeSources(&m.options.Sources, m.options.Version)
	return n.err()
}

// observeUnderWay shows the exchanges that are under way.
func (m *Metrics) observeUnderWay(n *naming) {
	active := n.upDownCounter("http.server.active_requests", "{request}", "Exchanges under way.")
	n.register(func(_ context.Context, o metric.Observer) error {
		m.options.Gauges.ExchangesUnderWay(func(method string, count int64) {
			o.ObserveInt64(active, count, metric.WithAttributes(m.scheme(), semconv.HTTPRequestMethodKey.String(knownMethod(method))))
		})
		return nil
	}, active)
}

// observe reads an instrument's only value from f.
func (n *naming) observe(instrument metric.Int64Observable, f func() int64) {
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
