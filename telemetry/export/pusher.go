package export

import (
	"context"
	"errors"
	"sync"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"osgate/telemetry/metrics"
)

// pusher sends metrics to one exporter. It replaces the SDK's reader, which cannot be
// stopped, prints errors, and has no timeout for its last export. It is safe for
// concurrent use.
type pusher struct {
	reader            *sdk.ManualReader
	exporter          sdk.Exporter
	interval, timeout time.Duration
	losses            *losses
	end               sync.Once
}

// newPusher returns a pusher of the metrics that its reader collects, and of the
// process's metrics.
func newPusher(e sdk.Exporter, plan Plan, l *losses) (*pusher, error) {
	process, err := metrics.NewProcess(e.Temporality)
	if err != nil {
		return nil, err
	}
	reader := sdk.NewManualReader(sdk.WithTemporalitySelector(e.Temporality),
		sdk.WithAggregationSelector(e.Aggregation), sdk.WithProducer(process))
	return &pusher{reader: reader, exporter: e, interval: plan.interval, timeout: plan.timeout, losses: l}, nil
}

// run sends metrics at each interval until ctx ends.
func (p *pusher) run(ctx context.Context) {
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.push(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// push sends metrics once. If this fails, the next sums include the values.
func (p *pusher) push(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	p.losses.export(ctx, signalMetrics, 0, func(ctx context.Context) error {
		var all metricdata.ResourceMetrics
		switch err := p.reader.Collect(ctx, &all); {
		// the metrics are not registered yet, or shut down
		case errors.Is(err, sdk.ErrReaderNotRegistered), errors.Is(err, sdk.ErrReaderShutdown):
			return nil
		case err != nil:
			return err //nolint:wrapcheck // it is counted
		}
		return p.exporter.Export(ctx, &all) //nolint:wrapcheck // as above
	})
}

// close sends metrics for the last time, and shuts down the exporter.
func (p *pusher) close(ctx context.Context) {
	p.end.Do(func() {
		p.push(ctx)
		_ = p.exporter.Shutdown(ctx) // all metrics were sent or counted as lost
	})
}
