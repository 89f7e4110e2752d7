package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Connections is how a listener fares.
type Connections struct {
	Limit        int64            // how many there may be
	Idle, Active int64            // those that are open: without a request, and with one
	Events       map[string]int64 // what has happened since the start, by kind: a closed list
}

// The labels of connections.
const (
	attrListener        = attribute.Key("osgate.listener")
	attrConnectionState = attribute.Key("osgate.connection.state")
	attrConnectionEvent = attribute.Key("osgate.connection.event")
)

// observeConnections shows what f tells of each listener.
func (n *naming) observeConnections(f func(tell func(listener string, c Connections))) {
	if f == nil {
		return
	}
	open := n.upDownCounter("osgate.connections", "{connection}", "Connections that are open, of clients and of operators.")
	limit := n.gauge("osgate.connections.limit", "{connection}", "Connections that may be open.")
	events := n.counter("osgate.connections.events", "{event}", "Connections that were closed for others, refused, or did not come about.")
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
