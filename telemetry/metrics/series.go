package metrics

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

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
