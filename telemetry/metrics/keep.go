package metrics

import (
	"context"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/trace"

	"osgate/record"
	"osgate/telemetry/attributes"
)

// Keep implements [record.Keeper].
func (m *Metrics) Keep(x *record.Exchange) {
	ctx := traceContext(x)
	if x.CausedBy == "" {
		m.keepServer(ctx, x)
	}
	m.keepQuota(ctx, x)
	if x.UpstreamAttempts > 0 {
		m.keepUpstream(ctx, x)
	}
	if !x.Cache.IsZero() {
		m.lookups.row(cacheKey{x.Cache.Lookup(), x.Cache.Detail}, cacheLabels).n.Add(1)
	}
	m.operations.row(x.Operation, operationLabels).keep(x)
	m.policy.keep(x)
}

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

// keepServer records the client's side of x.
func (m *Metrics) keepServer(ctx context.Context, x *record.Exchange) {
	k := serverKey{
		method: attributes.KnownMethod(x.Method), route: x.Route,
		status: attributes.SentStatus(x.Status), failure: attributes.Failure(x),
	}
	with := m.server.row(k, m.serverLabels).record
	m.serverDuration.Record(ctx, x.Duration.Seconds(), with...)
	m.responseSize.Record(ctx, x.ResponseBytes, with...)
	if x.RequestBytes > 0 {
		m.requestSize.Record(ctx, x.RequestBytes, with...)
	}

	outcome := x.Outcome()
	m.exchange.row(exchangeKey{x.Operation, x.Plane, x.Region, outcome, x.Code}, exchangeLabels).n.Add(1)
}

// keepQuota counts the decision of the client quota, if the quota was checked.
func (m *Metrics) keepQuota(ctx context.Context, x *record.Exchange) {
	if x.Waited > 0 {
		m.wait.Record(ctx, x.Waited.Seconds())
	}
	d := admitted
	switch {
	case !x.Charged: // an address with too many failed identifications is answered over-quota too
		return
	case x.Code == record.CodeOverQuota:
		d = refused
	case x.Waited > 0:
		d = waited
	}
	m.quotaDecisions[d][oneIf(x.Degraded)].n.Add(1)
}

// keepUpstream counts the requests sent upstream, and records the duration of each
// attempt.
func (m *Metrics) keepUpstream(ctx context.Context, x *record.Exchange) {
	status := attributes.SentStatus(x.UpstreamStatus)
	m.resent.n.Add(int64(x.UpstreamResent))
	if x.UpstreamError == record.KeptConnectionClosed {
		m.lost.n.Add(1)
	}
	m.upstreamRequests.row(upstreamKey{x.Operation, x.Plane, x.Region, status}, upstreamLabels).n.
		Add(int64(x.UpstreamAttempts))
	for i, a := range x.Attempts {
		k := clientKey{
			surface: x.Surface, method: attributes.KnownMethod(x.Method), plane: x.Plane, region: x.Region,
			status: attributes.SentStatus(a.Status), failure: attemptFailure(a),
		}
		// otherwise it is not the last attempt: there were more than are recorded
		if i == len(x.Attempts)-1 && a.Status == x.UpstreamStatus {
			k.failure = upstreamFailureOf(x)
		}
		m.clientDuration.Record(ctx, a.Duration.Seconds(), m.client.row(k, m.clientLabels).record...)
	}
}

// attemptFailure returns error.type of an attempt. For an HTTP client, 4xx is an error
// too.
func attemptFailure(a record.Attempt) string {
	if a.Status >= http.StatusBadRequest {
		return strconv.Itoa(a.Status)
	}
	return a.Error
}

// upstreamFailureOf returns error.type of upstream's answer. For an HTTP client, 4xx is
// an error too.
func upstreamFailureOf(x *record.Exchange) string {
	switch {
	case x.UpstreamStatus >= http.StatusBadRequest:
		return strconv.Itoa(x.UpstreamStatus)
	case x.Hit && x.UpstreamError != "", x.UpstreamStatus > 0 && x.UpstreamError != "":
		// A stale answer was used instead, or the answer was cut off.
		return x.UpstreamError
	case x.UpstreamStatus == 0 && x.Code != "":
		return string(x.Code)
	case x.UpstreamStatus == 0 || x.Aborted:
		return attributes.Failure(x)
	}
	return ""
}
