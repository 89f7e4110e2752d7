package telemetry

import (
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"osgate/record"
)

// Attributes of the gateway. Those of the semantic conventions are in package semconv.
const (
	attrOperation = attribute.Key("osv2.operation")
	attrPlane     = attribute.Key("osv2.plane")
	attrRegion    = attribute.Key("osv2.region")

	attrOutcome  = attribute.Key("osgate.outcome")
	attrCode     = attribute.Key("osgate.code")
	attrDecision = attribute.Key("osgate.quota.decision")
	attrDegraded = attribute.Key("osgate.quota.degraded")
	attrResult   = attribute.Key("osgate.cache.result")
	attrReason   = attribute.Key("osgate.cache.reason")
	attrEvent    = attribute.Key("osgate.cache.event")
	attrLease    = attribute.Key("osgate.cache.lease")
	attrParty    = attribute.Key("osgate.billing.party")

	attrPolicyRule     = attribute.Key("osgate.policy.rule")
	attrPolicyDecision = attribute.Key("osgate.policy.decision")
	attrClosedOutcome  = attribute.Key("osgate.upstream.closed.outcome")
	attrBudgetDecision = attribute.Key("osgate.budget.decision")
	attrBudgetDegraded = attribute.Key("osgate.budget.degraded")
	attrIdentity       = attribute.Key("osgate.identity.result")
	attrAnswer         = attribute.Key("osgate.identity.answer")
	attrConnection     = attribute.Key("osgate.redis.connection")
	attrKind           = attribute.Key("osgate.redis.kind")
	attrPoolEvent      = attribute.Key("osgate.redis.pool.event")
	attrLost           = attribute.Key("osgate.stats.loss")
	attrSearch         = attribute.Key("osgate.discovery.result")
	attrCall           = attribute.Key("osgate.accounts.decision")
	attrAdminRefusal   = attribute.Key("osgate.admin.refusal")
	attrPause          = attribute.Key("osgate.upstream.pause.event")
	attrSlotClass      = attribute.Key("osgate.slot.class")
	attrShortage       = attribute.Key("osgate.slot.shortage")
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

// labelList is a list of labels. Its methods add only values that are not empty.
type labelList []attribute.KeyValue

func (l *labelList) text(key attribute.Key, value string) {
	if value != "" {
		*l = append(*l, key.String(strings.ToValidUTF8(value, ""))) // invalid UTF-8 would lose the whole batch
	}
}

func (l *labelList) status(status int) {
	if status != 0 {
		*l = append(*l, semconv.HTTPResponseStatusCode(status))
	}
}

func (l *labelList) place(plane, region string) {
	l.text(attrPlane, plane)
	l.text(attrRegion, region)
}

// scheme returns the URL scheme of the clients' requests.
func (m *Metrics) scheme() attribute.KeyValue {
	if m.options.TLS {
		return semconv.URLScheme("https")
	}
	return semconv.URLScheme("http")
}

func (m *Metrics) serverLabels(k serverKey) []attribute.KeyValue {
	l := labelList{m.scheme()}
	l.text(semconv.HTTPRequestMethodKey, k.method)
	l.text(semconv.HTTPRouteKey, k.route)
	l.status(k.status)
	l.text(semconv.ErrorTypeKey, k.failure)
	return l
}

func (m *Metrics) clientLabels(k clientKey) []attribute.KeyValue {
	l := labelList{}
	l.text(semconv.HTTPRequestMethodKey, k.method)
	l.place(k.plane, k.region)
	l.status(k.status)
	l.text(semconv.ErrorTypeKey, k.failure)
	if m.options.Server == nil {
		return l
	}
	if host, port := m.options.Server(k.surface, k.plane, k.region); host != "" {
		l = append(l, semconv.ServerAddress(host), semconv.ServerPort(port))
	}
	return l
}

func exchangeLabels(k exchangeKey) []attribute.KeyValue {
	l := labelList{attrOutcome.String(k.outcome.String())}
	l.text(attrOperation, k.operation)
	l.place(k.plane, k.region)
	l.text(attrCode, string(k.code))
	return l
}

func cacheLabels(k cacheKey) []attribute.KeyValue {
	l := labelList{}
	l.text(attrResult, k.result)
	l.text(attrReason, k.reason)
	return l
}

func upstreamLabels(k upstreamKey) []attribute.KeyValue {
	l := labelList{}
	l.text(attrOperation, k.operation)
	l.place(k.plane, k.region)
	l.status(k.status)
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
			r.quotaDecisions[d][i] = newCount(attrDecision.String(name), attrDegraded.Bool(degraded))
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

// knownMethod returns method if it is one of RFC 9110 or RFC 5789, otherwise "_OTHER"
// as the semantic conventions require, because a client may send any method.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
		http.MethodConnect, http.MethodTrace:
		return method
	}
	return semconv.HTTPRequestMethodOther.Value.AsString()
}

// failureOf returns error.type of the answer to a client: the problem code or the
// status of a 5xx, "" if there was no failure.
func failureOf(x *record.Exchange) string {
	switch {
	case x.ClientLeft():
		return "client_left"
	case x.Aborted:
		return "aborted"
	case x.Status < http.StatusInternalServerError:
		return ""
	case x.Code != "":
		return string(x.Code)
	}
	return strconv.Itoa(x.Status)
}

// upstreamFailureOf returns error.type of upstream's answer. For an HTTP client, 4xx is
// an error too.
func upstreamFailureOf(x *record.Exchange) string {
	switch {
	case x.UpstreamStatus >= http.StatusBadRequest:
		return strconv.Itoa(x.UpstreamStatus)
	case x.Hit && x.UpstreamError != "", x.UpstreamStatus > 0 && x.UpstreamError != "": // a stale answer was used instead, or the answer was cut off
		return x.UpstreamError
	case x.UpstreamStatus == 0 && x.Code != "":
		return string(x.Code)
	case x.UpstreamStatus == 0 || x.Aborted:
		return failureOf(x)
	}
	return ""
}
