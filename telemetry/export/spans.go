package export

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
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

// Attributes of spans only. No attribute contains a path, a query, a partition, a key
// or a value: url.path, url.full and url.query are left out.
const (
	attrOrganization = attribute.Key("osv2.organization.id")
	attrEnvironment  = attribute.Key("osv2.environment.id")
	attrStoreHash    = attribute.Key("osv2.store.hash")
	attrStore        = attribute.Key("osv2.store.name")
	attrClientHash   = attribute.Key("osgate.client.hash")
	attrClient       = attribute.Key("osgate.client.name")
	attrIdentifiedBy = attribute.Key("osgate.client.identified_by")
	attrUpstream     = attribute.Key("osgate.upstream_client")
	attrRequestID    = attribute.Key("osgate.request_id")
	attrSampled      = attribute.Key("osgate.sampled")
	attrWaited       = attribute.Key("osgate.quota.waited") // in seconds
)

var methodOther = semconv.HTTPRequestMethodOther.Value.AsString()

// failedHere reports whether the server span of x has an error: a 5xx, or an answer
// that broke off, unless the client caused it.
func failedHere(x *record.Exchange) bool {
	return x.Status >= 500 || x.Aborted && !x.ClientLeft()
}

// serverAttributes returns the attributes of the server span.
func (t *Traces) serverAttributes(x *record.Exchange, reason string) []attribute.KeyValue {
	l := make(attributes.List, 0, 26)
	addMethod(&l, x.Method)
	l.Text(semconv.HTTPRouteKey, x.Route)
	l.Status(attributes.SentStatus(x.Status))
	l.Text(semconv.ErrorTypeKey, attributes.Failure(x))
	l.Text(semconv.ClientAddressKey, x.ClientAddr)
	l.Text(semconv.NetworkPeerAddressKey, x.RemoteAddr)
	l.Text(semconv.NetworkProtocolVersionKey, x.Protocol)
	l = append(l, attributes.Scheme(t.options.TLS))
	l.Text(attributes.Operation, x.Operation)
	l.Place(x.Plane, x.Region)
	l.Text(attrOrganization, x.Organization)
	l.Text(attrEnvironment, x.Environment)
	t.named(&l, attrStoreHash, attrStore, x.Store)
	t.named(&l, attrClientHash, attrClient, x.Principal)
	l.Text(attrIdentifiedBy, x.IdentifiedBy)
	l.Text(attrUpstream, x.UpstreamClient)
	l.Text(attributes.Outcome, x.Outcome().String())
	l.Text(attributes.Code, string(x.Code))
	l.Text(attributes.PolicyRule, x.Rule)
	l.Text(attrRequestID, x.ID)
	l.Text(attrSampled, reason)
	addCache(&l, x)
	return l
}

// named adds the hash of a name, and the name itself if the options allow it.
func (t *Traces) named(l *attributes.List, hash, plain attribute.Key, name string) {
	if name == "" {
		return
	}
	l.Text(hash, t.hasher.of(string(hash), name))
	if t.options.Names {
		l.Text(plain, attributeText(name, maxAttribute))
	}
}

// stageAttributes returns the attributes of a stage's span.
func (t *Traces) stageAttributes(x *record.Exchange, v visit) []attribute.KeyValue {
	l := attributes.List{}
	switch v.stage {
	case record.StageAuthorize:
		l.Text(attributes.PolicyRule, x.Rule)
	case record.StageLimit:
		t.limitAttributes(&l, x, v)
	case record.StageCache:
		addCache(&l, x)
	default:
	}
	return l
}

// limitAttributes adds the decision of the client quota, and that Redis was used.
func (t *Traces) limitAttributes(l *attributes.List, x *record.Exchange, v visit) {
	if !x.Charged || !v.first {
		return
	}
	*l = append(*l, attributes.QuotaDecision.String(quotaDecision(x)), attributes.QuotaDegraded.Bool(x.Degraded))
	if x.Waited > 0 {
		*l = append(*l, attrWaited.Float64(x.Waited.Seconds()))
	}
	if t.options.Redis && !x.Degraded {
		*l = append(*l, semconv.DBSystemNameRedis)
	}
}

// quotaDecision returns the decision of the client quota as in metrics.
func quotaDecision(x *record.Exchange) string {
	switch {
	case x.Code == record.CodeOverQuota:
		return "refused"
	case x.Waited > 0:
		return "waited"
	}
	return "admitted"
}

// clientAttributes returns the attributes of an attempt's span.
func (t *Traces) clientAttributes(x *record.Exchange, a record.Attempt) []attribute.KeyValue {
	l := make(attributes.List, 0, 10)
	addMethod(&l, x.Method)
	l.Status(a.Status)
	l.Place(x.Plane, x.Region)
	l.Text(attributes.Operation, x.Operation)
	switch {
	case a.Error != "":
		l.Text(semconv.ErrorTypeKey, a.Error)
	case a.Status >= 400:
		l.Text(semconv.ErrorTypeKey, strconv.Itoa(a.Status))
	}
	if a.Resend > 0 {
		l = append(l, semconv.HTTPRequestResendCount(a.Resend))
	}
	if t.options.Server != nil {
		l.Server(t.options.Server(x.Surface, x.Plane, x.Region))
	}
	return l
}

// addMethod adds the method of a request. For an unknown method it also adds the original.
func addMethod(l *attributes.List, method string) {
	known := attributes.KnownMethod(method)
	l.Text(semconv.HTTPRequestMethodKey, known)
	if known != method {
		l.Text(semconv.HTTPRequestMethodOriginalKey, method)
	}
}

// addCache adds the cache's result of a cacheable read.
func addCache(l *attributes.List, x *record.Exchange) {
	l.Text(attributes.CacheResult, x.Cache.Lookup())
	l.Text(attributes.CacheReason, x.Cache.Detail)
}
