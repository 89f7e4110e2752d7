package metrics

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"osgate/record"
	"osgate/telemetry/attributes"
)

// Attributes of metrics only. Others are in the packages attributes and semconv.
const (
	attrEvent = attribute.Key("osgate.cache.event")
	attrLease = attribute.Key("osgate.cache.lease")
	attrParty = attribute.Key("osgate.billing.party")

	attrPolicyDecision  = attribute.Key("osgate.policy.decision")
	attrClosedOutcome   = attribute.Key("osgate.upstream.closed.outcome")
	attrBudgetDecision  = attribute.Key("osgate.budget.decision")
	attrBudgetDegraded  = attribute.Key("osgate.budget.degraded")
	attrIdentity        = attribute.Key("osgate.identity.result")
	attrAnswer          = attribute.Key("osgate.identity.answer")
	attrConnection      = attribute.Key("osgate.redis.connection")
	attrKind            = attribute.Key("osgate.redis.kind")
	attrPoolEvent       = attribute.Key("osgate.redis.pool.event")
	attrBrokeringPart   = attribute.Key("osgate.brokering.part")
	attrBrokeringName   = attribute.Key("osgate.brokering.name")
	attrBrokeringMethod = attribute.Key("osgate.brokering.method")
	attrBrokeringReason = attribute.Key("osgate.brokering.reason")
	attrLost            = attribute.Key("osgate.stats.loss")
	attrSearch          = attribute.Key("osgate.discovery.result")
	attrCall            = attribute.Key("osgate.accounts.decision")
	attrAdminRefusal    = attribute.Key("osgate.admin.refusal")
	attrPause           = attribute.Key("osgate.upstream.pause.event")
	attrSlotClass       = attribute.Key("osgate.slot.class")
	attrSignal          = attribute.Key("osgate.telemetry.signal")
	attrShortage        = attribute.Key("osgate.slot.shortage")
)

// Keys of rows, one type for each metric, with the values of its labels. An empty value
// has no label.
type (
	serverKey struct {
		method, route string
		status        int
		failure       string
	}
	clientKey struct {
		surface               record.Surface
		method, plane, region string
		status                int
		failure               string
	}
	exchangeKey struct {
		operation, plane, region string
		outcome                  record.Outcome
		code                     record.Code
	}
	cacheKey    struct{ result, reason string }
	upstreamKey struct {
		operation, plane, region string
		status                   int
	}
)

func (m *Metrics) serverLabels(k serverKey) []attribute.KeyValue {
	l := attributes.List{attributes.Scheme(m.options.TLS)}
	l.Text(semconv.HTTPRequestMethodKey, k.method)
	l.Text(semconv.HTTPRouteKey, k.route)
	l.Status(k.status)
	l.Text(semconv.ErrorTypeKey, k.failure)
	return l
}

func (m *Metrics) clientLabels(k clientKey) []attribute.KeyValue {
	l := attributes.List{}
	l.Text(semconv.HTTPRequestMethodKey, k.method)
	l.Place(k.plane, k.region)
	l.Status(k.status)
	l.Text(semconv.ErrorTypeKey, k.failure)
	if m.options.Server != nil {
		l.Server(m.options.Server(k.surface, k.plane, k.region))
	}
	return l
}

func exchangeLabels(k exchangeKey) []attribute.KeyValue {
	l := attributes.List{attributes.Outcome.String(k.outcome.String())}
	l.Text(attributes.Operation, k.operation)
	l.Place(k.plane, k.region)
	l.Text(attributes.Code, string(k.code))
	return l
}

func cacheLabels(k cacheKey) []attribute.KeyValue {
	l := attributes.List{}
	l.Text(attributes.CacheResult, k.result)
	l.Text(attributes.CacheReason, k.reason)
	return l
}

func upstreamLabels(k upstreamKey) []attribute.KeyValue {
	l := attributes.List{}
	l.Text(attributes.Operation, k.operation)
	l.Place(k.plane, k.region)
	l.Status(k.status)
	return l
}

// decision is the result of the client quota or the budget.
type decision uint8

const (
	admitted decision = iota // at once
	waited                   // after waiting for its turn
	refused                  // 429
	decisions
)

// rows contains all label sets that have occurred.
type rows struct {
	server            *table[serverKey, labels]
	client            *table[clientKey, labels]
	roundTrips        *table[roundTripKey, labels]
	controlPlaneCalls *table[controlPlaneKey, labels]
	exchange          *table[exchangeKey, count]
	operations        *table[string, operation]
	lookups           *table[cacheKey, count]
	upstreamRequests  *table[upstreamKey, count]
	policy            policyRows
	resent            *count               // closed connections whose requests were sent again
	lost              *count               // closed connections whose requests failed
	quotaDecisions    [decisions][2]*count // second index: 1 if degraded
	budgetDecisions   [decisions][2]*count // the same
}

func newRows() rows {
	r := rows{
		server:            newTable[serverKey](maxHistograms, newLabels),
		client:            newTable[clientKey](maxHistograms, newLabels),
		roundTrips:        newTable[roundTripKey](maxHistograms, newLabels),
		controlPlaneCalls: newTable[controlPlaneKey](maxHistograms, newLabels),
		exchange:          newTable[exchangeKey](maxSeries, newCount),
		operations:        newTable[string](maxSeries, newOperation),
		lookups:           newTable[cacheKey](maxSeries, newCount),
		upstreamRequests:  newTable[upstreamKey](maxSeries, newCount),
		policy:            newPolicyRows(),
		resent:            newCount(attrClosedOutcome.String("resent")),
		lost:              newCount(attrClosedOutcome.String("failed")),
	}
	for d, name := range [decisions]string{"admitted", "waited", "refused"} {
		for i, degraded := range []bool{false, true} {
			r.quotaDecisions[d][i] = newCount(
				attributes.QuotaDecision.String(name), attributes.QuotaDegraded.Bool(degraded),
			)
			r.budgetDecisions[d][i] = newCount(attrBudgetDecision.String(name), attrBudgetDegraded.Bool(degraded))
		}
	}
	return r
}

// observe reports every count to o. The decisions of quota and budget are reported from
// the start, also zeros, so that an alert detects the first refusal.
func (r *rows) observe(o metric.Observer, in instruments) {
	r.exchange.each(func(c *count) { c.observe(o, in.exchanges) })
	r.operations.each(func(op *operation) { op.observe(o, in) })
	r.lookups.each(func(c *count) { c.observe(o, in.cache) })
	r.upstreamRequests.each(func(c *count) { c.observe(o, in.upstream) })
	r.policy.observe(o, in.rules)
	for _, c := range []*count{r.resent, r.lost} {
		o.ObserveInt64(in.closed, c.n.Load(), c.labels...)
	}
	for d := range decisions {
		for i := range 2 {
			o.ObserveInt64(in.quota, r.quotaDecisions[d][i].n.Load(), r.quotaDecisions[d][i].labels...)
			o.ObserveInt64(in.budget, r.budgetDecisions[d][i].n.Load(), r.budgetDecisions[d][i].labels...)
		}
	}
}

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

// operation is the row of all counts by operation alone, so that an exchange needs one
// lookup.
type operation struct {
	received, transmitted      tally // bytes of bodies
	clientUnits, upstreamUnits tally // answered to clients, and by Object Store
	saved, savedUnits          tally // by the cache
}

// tally is one count of a row, with its labels.
type tally struct {
	n      atomic.Int64
	labels []metric.ObserveOption
}

func newOperation(kv ...attribute.KeyValue) *operation {
	with := func(more ...attribute.KeyValue) []metric.ObserveOption {
		return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(append(slices.Clone(kv), more...)...))}
	}
	return &operation{
		received:      tally{labels: with(semconv.NetworkIODirectionReceive)},
		transmitted:   tally{labels: with(semconv.NetworkIODirectionTransmit)},
		clientUnits:   tally{labels: with(attrParty.String("client"))},
		upstreamUnits: tally{labels: with(attrParty.String("upstream"))},
		saved:         tally{labels: with()},
		savedUnits:    tally{labels: with()},
	}
}

func operationLabels(name string) []attribute.KeyValue {
	l := attributes.List{}
	l.Text(attributes.Operation, name)
	return l
}

// keep adds x.
func (op *operation) keep(x *record.Exchange) {
	op.received.add(x.RequestBytes)
	op.transmitted.add(x.ResponseBytes)
	op.clientUnits.add(x.CountedUnits())
	op.upstreamUnits.add(x.BilledUnits())
	if x.Hit && x.UpstreamAttempts == 0 {
		op.saved.add(1)
		op.savedUnits.add(x.CountedUnits())
	}
}

// observe reports every count to o.
func (op *operation) observe(o metric.Observer, in instruments) {
	op.received.observe(o, in.bodies)
	op.transmitted.observe(o, in.bodies)
	op.clientUnits.observe(o, in.billed)
	op.upstreamUnits.observe(o, in.billed)
	op.saved.observe(o, in.saved)
	op.savedUnits.observe(o, in.units)
}

func (t *tally) add(n int64) {
	if n > 0 {
		t.n.Add(n)
	}
}

// observe reports the count to o unless it is zero.
func (t *tally) observe(o metric.Observer, counter metric.Int64Observable) {
	if n := t.n.Load(); n != 0 {
		o.ObserveInt64(counter, n, t.labels...)
	}
}
