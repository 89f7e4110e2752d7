// Package telemetry keeps the numbers of the gateway: [Metrics] for Prometheus and what reads it, [Board] for the operator's page, and makes
// [Traces]; [Exports] sends all that, and the log, to collectors by OpenTelemetry.
//
// The idea a reader needs: these are record.Keepers that are told an exchange once, when it is over, and neither grows with traffic. The
// labels of a metric are words of ours out of closed lists (operation, plane, region, code, outcome) and what Object Store answers (a
// status); a store, a key, a client or an organization is never one. What names things, the busiest clients and stores, is on the
// Board, which holds a bounded number of them and forgets them after a minute.
//
// Names and attributes of the metrics that begin with "http." are OpenTelemetry's semantic conventions for HTTP, stable since 1.23. Ours begin
// with "osgate.", and with "osv2." where an attribute says what was asked of Object Store.
//
// The package decides nothing but what is traced, and logs nothing but that a collector is away, once a minute. It starts no goroutine; the SDK's readers of
// metrics and processors of logs do.
package telemetry
