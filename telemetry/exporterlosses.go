package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// losses counts what could not be exported. A collector that is away costs nothing but these counters and a log line a minute. Safe for concurrent use.
type losses struct {
	logger   *slog.Logger
	failures [signals]atomic.Int64
	dropped  [signals]atomic.Int64
	told     atomic.Int64 // when the last line was written, in Unix seconds
}

// tellEvery is how far apart lines about failures are, in seconds.
const tellEvery = 60

// export sends what is held by send, and counts what comes of it: nothing is returned, because the SDK would print it.
func (l *losses) export(ctx context.Context, s signal, held int, send func(context.Context) error) {
	sending, heard := listen(ctx)
	if err := send(sending); err != nil {
		l.count(s, readFailure(err, heard.status, ctx.Err()), held)
	}
}

// failed counts an export that failed, and what of the held was lost by it.
func (l *losses) failed(s signal, err error, held int) { l.count(s, readFailure(err, 0, nil), held) }

// count counts a failure, and what of the held was lost by it. A collector that took all and only has something to say has not failed.
func (l *losses) count(s signal, f failure, held int) {
	if f.cause == "" {
		return
	}
	if f.partly {
		held = min(held, f.rejected)
	}
	l.failures[s].Add(1)
	l.dropped[s].Add(int64(held))
	now, last := time.Now().Unix(), l.told.Load()
	if now-last >= tellEvery && l.told.CompareAndSwap(last, now) {
		l.logger.Warn("telemetry could not be exported; more such failures within a minute are only counted", "signal", s.String(), "cause", f.cause)
	}
}

// attrSignal says what kind of telemetry a number is about.
const attrSignal = attribute.Key("osgate.telemetry.signal")

// observe shows the counters as metrics of m.
func (l *losses) observe(m *Metrics) error {
	n := naming{meter: m.meter}
	failures := n.counter("osgate.telemetry.failures", "{export}", "Exports to a collector that failed.")
	dropped := n.counter("osgate.telemetry.dropped", "{item}",
		"What was never exported: exchanges and log records that found the queue full, spans and log records of exports that failed.")
	_, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for s := range signals {
			about := metric.WithAttributes(attrSignal.String(s.String()))
			o.ObserveInt64(failures, l.failures[s].Load(), about)
			o.ObserveInt64(dropped, l.dropped[s].Load(), about)
		}
		return nil
	}, failures, dropped)
	if err != nil {
		return fmt.Errorf("registering the counters of exports: %w", err)
	}
	return n.err()
}

// countedLogs is an exporter whose failures are counted and end here, and the queue's bound: the SDK drops without a word what finds its own full.
type countedLogs struct {
	sdklog.Exporter
	losses  *losses
	room    int64
	waiting atomic.Int64 // records in the queue, at least
}

// Export implements [sdklog.Exporter].
func (e *countedLogs) Export(ctx context.Context, records []sdklog.Record) error {
	e.waiting.Add(-int64(len(records)))
	e.losses.export(ctx, signalLogs, len(records), func(ctx context.Context) error { return e.Exporter.Export(ctx, records) })
	return nil
}

// countedQueue is a processor that queues records for a countedLogs.
type countedQueue struct {
	sdklog.Processor
	logs *countedLogs
}

// OnEmit implements [sdklog.Processor].
func (q *countedQueue) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if q.logs.waiting.Add(1) > q.logs.room {
		q.logs.waiting.Add(-1)
		q.logs.losses.dropped[signalLogs].Add(1)
		return nil
	}
	return q.Processor.OnEmit(ctx, r) //nolint:wrapcheck // it is ours in all but name
}
