package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"osgate/record"
)

// traceContext returns the context in which what is known of x is recorded: with its span where that is sampled, so that a histogram's exemplar links to
// it (OpenTelemetry Metrics SDK, "ExemplarFilter": trace_based).
func traceContext(x *record.Exchange) context.Context {
	ctx := context.Background() //nolint:forbidigo // an exchange that is over has no context
	if !x.Trace.Sampled {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: x.Trace.ID, SpanID: x.Trace.Span, TraceFlags: trace.FlagsSampled,
	}))
}
