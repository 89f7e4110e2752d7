package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Keys of what is timed beside exchanges.
type (
	roundTripKey struct{ connection, kind, trouble string }
	askingKey    struct{ plane, answer string }
)

func roundTripLabels(k roundTripKey) []attribute.KeyValue {
	l := labelList{semconv.DBSystemNameRedis}
	l.text(attrConnection, k.connection)
	l.text(attrKind, k.kind)
	l.text(semconv.ErrorTypeKey, k.trouble)
	return l
}

func askingLabels(k askingKey) []attribute.KeyValue {
	l := labelList{}
	l.text(attrPlane, k.plane)
	l.text(attrAnswer, k.answer)
	return l
}

// RoundTrip counts one round trip to Redis over a connection, about a kind of thing; trouble is what went wrong, empty where nothing did. All three come
// out of closed lists.
func (m *Metrics) RoundTrip(connection, kind, trouble string, took time.Duration) {
	ctx := context.Background() //nolint:forbidigo // nothing hangs on it
	with := m.roundTrips.row(roundTripKey{connection, kind, trouble}, roundTripLabels).record
	m.redisDuration.Record(ctx, took.Seconds(), with...)
}

// Asked counts one question to a control plane, whose a token is, and how it was answered. Both come out of closed lists.
func (m *Metrics) Asked(plane, answer string, took time.Duration) {
	ctx := context.Background() //nolint:forbidigo // nothing hangs on it
	m.askingDuration.Record(ctx, took.Seconds(), m.askings.row(askingKey{plane, answer}, askingLabels).record...)
}

// Budgeted counts one decision of the budget: whether a request may go upstream, how long it waited for its turn, and whether the decision was taken in
// process because Redis was away.
func (m *Metrics) Budgeted(allowed, degraded bool, wait time.Duration) {
	d := admitted
	switch {
	case !allowed:
		d = refused
	case wait > 0:
		d = waited
	}
	m.budgeted[d][oneIf(degraded)].n.Add(1)
	if wait > 0 {
		ctx := context.Background() //nolint:forbidigo // nothing hangs on it
		m.budgetWait.Record(ctx, wait.Seconds())
	}
}
