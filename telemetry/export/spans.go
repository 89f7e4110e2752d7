package export

import (
	"context"
	"encoding/binary"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"osgate/record"
	"osgate/telemetry/attributes"
)

// build makes the spans of x: one for the exchange, one for each visit to a stage, and
// one for each attempt, within the visit to forward that made it. A span has the times
// of the exchange, and the id that upstream received.
func (t *Traces) build(x *record.Exchange, reason string) {
	ctx := context.Background() //nolint:forbidigo // the exchange and its context have ended
	if x.Trace.Parent != [8]byte{} {
		state, _ := trace.ParseTraceState(x.Trace.State) // left out if the SDK cannot parse it
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: x.Trace.ID, SpanID: x.Trace.Parent, TraceFlags: trace.FlagsSampled,
			TraceState: state, Remote: true,
		}))
	}
	t.ids.trace, t.ids.span = x.Trace.ID, x.Trace.Span
	ctx, server := t.tracer.Start(ctx, spanName(x),
		trace.WithTimestamp(x.Start), trace.WithSpanKind(trace.SpanKindServer))
	server.SetAttributes(t.serverAttributes(x, reason)...)
	if failedHere(x) {
		server.SetStatus(codes.Error, string(x.Code))
	}
	attempts := x.Attempts
	for _, v := range visitsOf(x) {
		next := 0
		if v.stage == record.StageForward {
			next = begunBefore(attempts, v.end)
		}
		within := t.stage(ctx, x, v)
		t.attempts(within, x, attempts[:next])
		attempts = attempts[next:]
	}
	t.attempts(ctx, x, attempts) // made after the client received its answer
	server.End(trace.WithTimestamp(x.Start.Add(x.Duration)))
}

// stage makes the span of a visit and returns the context for spans within it.
func (t *Traces) stage(ctx context.Context, x *record.Exchange, v visit) context.Context {
	t.ids.span = newSpanID()
	ctx, span := t.tracer.Start(ctx, v.stage.String(), trace.WithTimestamp(x.Start.Add(v.start)))
	span.SetAttributes(t.stageAttributes(x, v)...)
	span.End(trace.WithTimestamp(x.Start.Add(v.end)))
	return ctx
}

// attempts makes the spans of attempts.
func (t *Traces) attempts(ctx context.Context, x *record.Exchange, attempts []record.Attempt) {
	for _, a := range attempts {
		t.ids.span = a.Span
		start := x.Start.Add(a.Start)
		_, span := t.tracer.Start(ctx, spanName(x),
			trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindClient))
		span.SetAttributes(t.clientAttributes(x, a)...)
		if a.Error != "" || a.Status >= 400 {
			span.SetStatus(codes.Error, "")
		}
		span.End(trace.WithTimestamp(start.Add(a.Duration)))
	}
}

// begunBefore returns how many attempts began before end.
func begunBefore(attempts []record.Attempt, end time.Duration) (n int) {
	for n < len(attempts) && attempts[n].Start < end {
		n++
	}
	return n
}

// spanName returns the name that the semantic conventions for HTTP spans require:
// method and route, without any text that a client can choose.
func spanName(x *record.Exchange) string {
	method := attributes.KnownMethod(x.Method)
	if method == methodOther {
		method = "HTTP"
	}
	if x.Route == "" {
		return method
	}
	return method + " " + x.Route
}

// visit is an uninterrupted stay of an exchange in a stage.
type visit struct {
	stage      record.Stage
	start, end time.Duration // since the start of the exchange
	first      bool          // the first visit to this stage
}

// minLimitVisit is the shortest repeated visit to the limit stage that has a span.
// During a shorter one the exchange did not wait.
const minLimitVisit = 100 * time.Microsecond

// visitsOf returns the visits of x that have spans. Locate has none, and short repeated
// visits to limit count to forward.
func visitsOf(x *record.Exchange) (visits []visit) {
	var all []visit
	for stage, start := range x.Timeline.Visits() {
		if n := len(all); n > 0 {
			all[n-1].end = start
		}
		all = append(all, visit{stage: stage, start: start, end: max(start, x.Duration)})
	}
	seen := [record.StageForward + 1]bool{}
	for _, v := range all {
		v.first = !seen[v.stage]
		seen[v.stage] = true
		last := len(visits) - 1
		switch {
		case v.stage == record.StageLocate || v.stage == record.StageLimit && !v.first && v.end-v.start < minLimitVisit:
		case last >= 0 && visits[last].stage == v.stage:
			visits[last].end = v.end
		default:
			visits = append(visits, v)
		}
	}
	return visits
}

// newSpanID returns a random id for a span.
func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], random())
	}
	return id
}
