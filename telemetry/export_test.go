package telemetry

import sdk "go.opentelemetry.io/otel/sdk/metric"

// ProcessMetrics returns what is pushed of this process beside the metrics of a [Metrics].
func ProcessMetrics() (sdk.Producer, error) { return newProcessMetrics(sdk.DefaultTemporalitySelector) }
