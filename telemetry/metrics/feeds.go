package metrics

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"osgate/telemetry/attributes"
)

// Keys of the durations that are not durations of exchanges.
type (
	roundTripKey    struct{ connection, kind, failure string }
	controlPlaneKey struct{ plane, answer string }
)

func roundTripLabels(k roundTripKey) []attribute.KeyValue {
	l := attributes.List{semconv.DBSystemNameRedis}
	l.Text(attrConnection, k.connection)
	l.Text(attrKind, k.kind)
	l.Text(semconv.ErrorTypeKey, k.failure)
	return l
}

func controlPlaneLabels(k controlPlaneKey) []attribute.KeyValue {
	l := attributes.List{}
	l.Text(attributes.Plane, k.plane)
	l.Text(attrAnswer, k.answer)
	return l
}

// RoundTrip records one round trip to Redis over a connection. kind is its purpose;
// failure is the kind of error, empty if there was none. All three come from closed
// lists.
func (m *Metrics) RoundTrip(connection, kind, failure string, took time.Duration) {
	ctx := context.Background() //nolint:forbidigo // it has no deadline and no values
	with := m.roundTrips.row(roundTripKey{connection, kind, failure}, roundTripLabels).record
	m.redisDuration.Record(ctx, took.Seconds(), with...)
}

// ControlPlaneCall records one call to a control plane to validate a token, and the
// kind of its answer. Both come from closed lists.
func (m *Metrics) ControlPlaneCall(plane, answer string, took time.Duration) {
	ctx := context.Background() //nolint:forbidigo // it has no deadline and no values
	m.controlPlaneDuration.Record(ctx, took.Seconds(),
		m.controlPlaneCalls.row(controlPlaneKey{plane, answer}, controlPlaneLabels).record...)
}

// BudgetDecision counts one decision of the budget: whether a request may be sent
// upstream, how long it waited, and whether the decision was made in the process
// because Redis was unavailable.
func (m *Metrics) BudgetDecision(allowed, degraded bool, wait time.Duration) {
	d := admitted
	switch {
	case !allowed:
		d = refused
	case wait > 0:
		d = waited
	}
	m.budgetDecisions[d][oneIf(degraded)].n.Add(1)
	if wait > 0 {
		ctx := context.Background() //nolint:forbidigo // it has no deadline and no values
		m.budgetWait.Record(ctx, wait.Seconds())
	}
}
