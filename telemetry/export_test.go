package telemetry

import sdk "go.opentelemetry.io/otel/sdk/metric"

// ProcessMetrics returns the metrics of this process that are pushed in addition to
// those of a [Metrics].
func ProcessMetrics() (sdk.Producer, error) { return newProcessMetrics(sdk.DefaultTemporalitySelector) }
