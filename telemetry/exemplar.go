package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"osgate/record"
)

// traceContext returns the context in which the values of x are recorded. It contains
// the span if that is sampled, so that the exemplar of a histogram links to it
// (OpenTelemetry Metrics SDK, "ExemplarFilter": trace_based).
func traceContext(x *record.Exchange) context.Context {
	ctx := context.Background() //nolint:forbidigo // the context of an exchange has ended with it
	if !x.Trace.Sampled {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: x.Trace.ID, SpanID: x.Trace.Span, TraceFlags: trace.FlagsSampled,
	}))
}
