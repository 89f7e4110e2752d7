package metrics

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Connections contains the counts of a listener's connections.
type Connections struct {
	Limit        int64            // maximum number of open connections
	Idle, Active int64            // open connections without a request, and with one
	Events       map[string]int64 // events since the start, by kind; a closed list
}

// The labels of connections.
const (
	attrListener        = attribute.Key("osgate.listener")
	attrConnectionState = attribute.Key("osgate.connection.state")
	attrConnectionEvent = attribute.Key("osgate.connection.event")
)

// observeConnections shows the connections of each listener that f reports.
func (n *instrumentBuilder) observeConnections(f func(report func(listener string, c Connections))) {
	if f == nil {
		return
	}
	open := n.upDownCounter("osgate.connections", "{connection}", "Open connections of clients and of operators.")
	limit := n.gauge("osgate.connections.limit", "{connection}", "Maximum number of open connections.")
	events := n.counter("osgate.connections.events", "{event}",
		"Connections that were closed to make room, refused, or not established.")
	n.register(func(_ context.Context, o metric.Observer) error {
		f(func(listener string, c Connections) {
			of := attrListener.String(listener)
			o.ObserveInt64(open, c.Idle, metric.WithAttributes(of, attrConnectionState.String("idle")))
			o.ObserveInt64(open, c.Active, metric.WithAttributes(of, attrConnectionState.String("active")))
			o.ObserveInt64(limit, c.Limit, metric.WithAttributes(of))
			for event, times := range c.Events {
				o.ObserveInt64(events, times, metric.WithAttributes(of, attrConnectionEvent.String(event)))
			}
		})
		return nil
	}, open, limit, events)
}
