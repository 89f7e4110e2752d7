package telemetry

import (
	"context"
	"encoding/binary"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"osgate/record"
)

// build makes the spans of x: one for the exchange, one for each visit to a stage, and one for each attempt upstream, in the visit to forward that made
// it. A span's own start and end are the exchange's, and ids are those that upstream has seen.
func (t *Traces) build(x *record.Exchange, why string) {
	ctx := context.Background() //nolint:forbidigo // the exchange is over, and its context with it
	if x.Trace.Parent != [8]byte{} {
		state, _ := trace.ParseTraceState(x.Trace.State) // one that the SDK cannot read is not told
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: x.Trace.ID, SpanID: x.Trace.Parent, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
		}))
	}
	t.ids.trace, t.ids.span = x.Trace.ID, x.Trace.Span
	ctx, server := t.tracer.Start(ctx, spanName(x), trace.WithTimestamp(x.Start), trace.WithSpanKind(trace.SpanKindServer))
	server.SetAttributes(t.serverAttributes(x, why)...)
	if failedHere(x) {
		server.SetStatus(codes.Error, x.Code)
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
	t.attempts(ctx, x, attempts) // made when the client had its answer
	server.End(trace.WithTimestamp(x.Start.Add(x.Duration)))
}

// stage makes the span of a visit and returns the context of what happened in it.
func (t *Traces) stage(ctx context.Context, x *record.Exchange, v visit) context.Context {
	t.ids.span = freshSpan()
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
		_, span := t.tracer.Start(ctx, spanName(x), trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindClient))
		span.SetAttributes(t.clientAttributes(x, a)...)
		if a.Error != "" || a.Status >= 400 {
			span.SetStatus(codes.Error, "")
		}
		span.End(trace.WithTimestamp(start.Add(a.Duration)))
	}
}

// begunBefore returns how many of the attempts began before an instant.
func begunBefore(attempts []record.Attempt, end time.Duration) (n int) {
	for n < len(attempts) && attempts[n].Start < end {
		n++
	}
	return n
}

// spanName is the name that the semantic conventions for HTTP spans ask for: method and route, without anything that a client can choose.
func spanName(x *record.Exchange) string {
	method := knownMethod(x.Method)
	if method == methodOther {
		method = "HTTP"
	}
	if x.Route == "" {
		return method
	}
	return method + " " + x.Route
}

// visit is the time that an exchange spent in a stage at a stretch.
type visit struct {
	stage      record.Stage
	start, end time.Duration // after the exchange's start
	first      bool          // to this stage
}

// glance is how short a look back at the quota is no visit: nothing was waited for.
const glance = 100 * time.Microsecond

// visitsOf returns the visits of x that say something: locate reads what has come, and a glance at the quota on the way to upstream belongs to forward.
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
		case v.stage == record.StageLocate || v.stage == record.StageLimit && !v.first && v.end-v.start < glance:
		case last >= 0 && visits[last].stage == v.stage:
			visits[last].end = v.end
		default:
			visits = append(visits, v)
		}
	}
	return visits
}

// freshSpan returns an id for a span that nobody has heard of.
func freshSpan() (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], random())
	}
	return id
}
