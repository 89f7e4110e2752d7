// Package telemetry keeps the counts of the gateway: [Metrics] for Prometheus. It also
// makes [Traces]. [Exports] sends metrics, traces and the log to OpenTelemetry
// collectors.
//
// The idea a reader needs: Metrics and Traces are record.Keepers that receive an
// exchange once, when it is over, and their memory does not grow with traffic. The
// labels of a metric come from closed lists of the gateway (operation, plane, region,
// code, outcome), or are a status of Object Store; a store, a key, a client or an
// organization is never a label.
//
// Metrics and attributes whose names begin with "http." follow OpenTelemetry's semantic
// conventions for HTTP, stable since 1.23. The gateway's own names begin with
// "osgate.", and with "osv2." for attributes of an Object Store operation.
//
// The package decides only which exchanges are traced. It logs only that a collector is
// unavailable, once a minute. It starts no goroutine; the SDK's readers of metrics and
// processors of logs do.
package telemetry
