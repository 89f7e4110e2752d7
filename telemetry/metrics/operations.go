package metrics

import (
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"osgate/record"
	"osgate/telemetry/attributes"
)

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
