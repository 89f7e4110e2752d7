package telemetry

import (
	"context"
	"net/http"
	"strconv"

	"osgate/record"
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

// keepServer records the client's side of x.
func (m *Metrics) keepServer(ctx context.Context, x *record.Exchange) {
	k := serverKey{method: knownMethod(x.Method), route: x.Route, status: sent(x.Status), failure: failureOf(x)}
	with := m.server.row(k, m.serverLabels).record
	m.serverDuration.Record(ctx, x.Duration.Seconds(), with...)
	m.responseSize.Record(ctx, x.ResponseBytes, with...)
	if x.RequestBytes > 0 {
		m.requestSize.Record(ctx, x.RequestBytes, with...)
	}

	outcome := x.Outcome()
	m.exchange.row(exchangeKey{x.Operation, x.Plane, x.Region, outcome, x.Code}, exchangeLabels).n.Add(1)
}

// sent returns status if a client received it: three digits, and not the status that is
// recorded for clients that left. Otherwise it returns 0.
func sent(status int) int {
	if status < 100 || status > 999 || status == record.StatusClientLeft {
		return 0
	}
	return status
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
	status := sent(x.UpstreamStatus)
	m.resent.n.Add(int64(x.UpstreamResent))
	if x.UpstreamError == record.KeptConnectionClosed {
		m.lost.n.Add(1)
	}
	m.upstreamRequests.row(upstreamKey{x.Operation, x.Plane, x.Region, status}, upstreamLabels).n.Add(int64(x.UpstreamAttempts))
	for i, a := range x.Attempts {
		k := clientKey{
			surface: x.Surface, method: knownMethod(x.Method), plane: x.Plane, region: x.Region,
			status: sent(a.Status), failure: attemptFailure(a),
		}
		if i == len(x.Attempts)-1 && a.Status == x.UpstreamStatus { // otherwise it is not the last attempt: there were more than are recorded
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
