package telemetry

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/metric"
)

// instruments are what Metrics shows beside the gauges. Histograms are recorded to, counters are read from rows.
type instruments struct {
	meter metric.Meter

	serverDuration metric.Float64Histogram
	clientDuration metric.Float64Histogram
	wait           metric.Float64Histogram

	exchanges metric.Int64ObservableCounter
	bodies    metric.Int64ObservableCounter
	quota     metric.Int64ObservableCounter
	cache     metric.Int64ObservableCounter
	upstream  metric.Int64ObservableCounter
	saved     metric.Int64ObservableCounter
	units     metric.Int64ObservableCounter
}

// advised are the buckets, in seconds, that the semantic conventions for HTTP metrics ask for.
var advised = metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

// turns are the buckets for the wait for one's turn, which by default lasts a second at the most.
var turns = metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5)

func newInstruments(meter metric.Meter) (instruments, error) {
	n := naming{meter: meter}
	made := instruments{
		meter: meter,

		serverDuration: n.histogram("http.server.request.duration", "Duration of exchanges, to the answer's last byte.", advised),
		clientDuration: n.histogram("http.client.request.duration", "Duration of requests to upstream, to the answer's first byte.", advised),
		wait:           n.histogram("osgate.quota.wait", "How long exchanges over quota waited for their turn.", turns),

		exchanges: n.counter("osgate.exchanges", "{exchange}", "Exchanges that are over, refused ones included."),
		bodies:    n.counter("osgate.body.io", "By", "Bytes of bodies read from clients (receive) and written to them (transmit)."),
		quota:     n.counter("osgate.quota.decisions", "{decision}", "Decisions of the client quota; degraded: taken in process because Redis was away."),
		cache:     n.counter("osgate.cache.lookups", "{lookup}", "Cacheable reads by what became of them at the cache (RFC 9211)."),
		upstream:  n.counter("osgate.upstream.requests", "{request}", "Requests sent upstream, by the status of the last one of their exchange."),
		saved:     n.counter("osgate.cache.saved.requests", "{request}", "Object Store requests that need not be sent, because the cache answered."),
		units: n.counter("osgate.cache.saved.units", "{unit}",
			"What they would have been billed as: one for each started 100 KB of the answer (\"Object Store v2 usage\")."),
	}
	return made, n.err()
}

// naming makes instruments and keeps what went wrong.
type naming struct {
	meter  metric.Meter
	errors []error
}

func (n *naming) histogram(name, description string, buckets metric.HistogramOption) metric.Float64Histogram {
	h, err := n.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), buckets)
	n.errors = append(n.errors, err)
	return h
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
	}, m.exchanges, m.bodies, m.quota, m.cache, m.upstream, m.saved, m.units)
	if err != nil {
		return fmt.Errorf("registering the counters: %w", err)
	}
	n := naming{meter: m.meter}
	g := m.options.Gauges
	if f := g.ExchangesUnderWay; f != nil {
		n.observe(n.upDownCounter("http.server.active_requests", "{request}", "Exchanges under way."), f)
	}
	if f := g.CacheBytes; f != nil {
		n.observe(n.gauge("osgate.cache.size", "By", "What cached answers take in this process."), f)
	}
	if f := g.CacheEntries; f != nil {
		n.observe(n.gauge("osgate.cache.entries", "{entry}", "Cached answers in this process."), f)
	}
	if f := g.CacheEvents; f != nil {
		n.observeEvents(n.counter("osgate.cache.events", "{event}", "What happened in the cache beside its lookups."), f)
	}
	if f := g.RedisUp; f != nil {
		n.observe(n.gauge("osgate.redis.up", "", "1 where Redis answers, else 0."), func() int64 { return oneIf(f()) })
	}
	return n.err()
}

// observe reads an instrument's only value from f.
func (n *naming) observe(instrument metric.Int64Observable, f func() int64) {
	_, err := n.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(instrument, f())
		return nil
	}, instrument)
	n.errors = append(n.errors, err)
}

// observeEvents reads a counter by event from f.
func (n *naming) observeEvents(counter metric.Int64Observable, f func(tell func(event string, n int64))) {
	_, err := n.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		f(func(event string, times int64) {
			o.ObserveInt64(counter, times, metric.WithAttributes(attrEvent.String(event)))
		})
		return nil
	}, counter)
	n.errors = append(n.errors, err)
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
