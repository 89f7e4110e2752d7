package metrics

import (
	"context"
	"runtime"
	"runtime/debug"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"osgate/telemetry/attributes"
)

// observeSources registers the sources that are set.
func (n *instrumentBuilder) observeSources(s *Sources, version string) {
	n.observeBuild(version)
	n.observeCounts(n.counter("osgate.identity.results", "{identification}",
		"Callers by the result of their identification."), attrIdentity, s.Identities)
	n.observeCounts(n.counter("osgate.discovery.searches", "{search}",
		"Searches for the region of a store, by result."), attrSearch, s.Searches)
	n.observeCounts(n.counter("osgate.upstream.pauses", "{event}",
		"Events after 429s of upstream."), attrPause, s.Pauses)
	n.observeCounts(n.counter("osgate.accounts.calls", "{call}",
		"Access Management calls by decision."), attrCall, s.Calls)
	n.observeCounts(n.counter("osgate.admin.refusals", "{request}",
		"Requests with a wrong token at the admin listener."), attrAdminRefusal, s.AdminTries)
	n.observePlanes(s.Planes)
	n.observeBrokering(s.Brokering)
	n.observeRefusals(s.Refusals)
	n.observeRegions(s.Regions)
	n.observeRedis(s.Redis)
	n.observeStatistics(s.Statistics)
	n.observePolicy(s.Policy)
	n.observeLog(s.LogLost)
	n.observeConnections(s.Connections)
	n.observeSlots(s.Slots)
}

// register reads instruments with f, once their values are available.
func (n *instrumentBuilder) register(f metric.Callback, instruments ...metric.Observable) {
	whenReady := f
	if n.ready != nil {
		whenReady = func(ctx context.Context, o metric.Observer) error {
			if !n.ready() {
				return nil
			}
			return f(ctx, o)
		}
	}
	_, err := n.meter.RegisterCallback(whenReady, instruments...)
	n.errors = append(n.errors, err)
}

// observeCounts reads a counter with one label from f, unless f is nil.
func (n *instrumentBuilder) observeCounts(
	counter metric.Int64Observable, label attribute.Key, f func(report func(value string, n int64)),
) {
	if f == nil {
		return
	}
	n.register(func(_ context.Context, o metric.Observer) error {
		f(func(value string, times int64) {
			o.ObserveInt64(counter, times, metric.WithAttributes(label.String(value)))
		})
		return nil
	}, counter)
}

// observeBuild shows the version and the source of this program.
func (n *instrumentBuilder) observeBuild(version string) {
	l := attributes.List{semconv.ProcessRuntimeVersion(runtime.Version())}
	l.Text(semconv.ServiceVersionKey, version)
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, s := range built.Settings {
			if s.Key == "vcs.revision" {
				l.Text(semconv.VCSRefHeadRevisionKey, s.Value)
			}
		}
	}
	gauge, with := n.gauge("osgate.build.info", "",
		"1; the labels contain the version and the source of this program."), metric.WithAttributes(l...)
	n.register(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(gauge, 1, with)
		return nil
	}, gauge)
}

func (n *instrumentBuilder) observePlanes(f func(report func(plane, breaker string))) {
	if f == nil {
		return
	}
	gauge := n.gauge("osgate.identity.breaker", "",
		"Breaker of a control plane: 0 closed, 1 half-open, 2 open (no calls).")
	n.register(func(_ context.Context, o metric.Observer) error {
		f(func(plane, breaker string) {
			o.ObserveInt64(gauge, breakers[breaker], metric.WithAttributes(attributes.Plane.String(plane)))
		})
		return nil
	}, gauge)
}

func (n *instrumentBuilder) observeBrokering(f func(report func(part, name string, fault bool))) {
	if f == nil {
		return
	}
	gauge := n.gauge("osgate.brokering.faults", "",
		"Whether a part that serves clients without an Anypoint credential has a fault: 0 no, 1 yes.")
	n.register(func(_ context.Context, o metric.Observer) error {
		f(func(part, name string, fault bool) {
			value := int64(0)
			if fault {
				value = 1
			}
			of := metric.WithAttributes(attrBrokeringPart.String(part), attrBrokeringName.String(name))
			o.ObserveInt64(gauge, value, of)
		})
		return nil
	}, gauge)
}

func (n *instrumentBuilder) observeRefusals(f func(report func(method, reason string, n int64))) {
	if f == nil {
		return
	}
	counter := n.counter("osgate.brokering.refusals", "{credential}",
		"Refused credentials that are no Anypoint tokens, by method and reason.")
	n.register(func(_ context.Context, o metric.Observer) error {
		f(func(method, reason string, times int64) {
			of := metric.WithAttributes(attrBrokeringMethod.String(method), attrBrokeringReason.String(reason))
			o.ObserveInt64(counter, times, of)
		})
		return nil
	}, counter)
}

func (n *instrumentBuilder) observeRegions(f func(report func(plane, region, breaker string))) {
	if f == nil {
		return
	}
	gauge := n.gauge("osgate.upstream.breaker", "",
		"Breaker of a region of Object Store: 0 closed, 1 half-open, 2 open (no connections).")
	n.register(func(_ context.Context, o metric.Observer) error {
		f(func(plane, region, breaker string) {
			of := metric.WithAttributes(attributes.Plane.String(plane), attributes.Region.String(region))
			o.ObserveInt64(gauge, breakers[breaker], of)
		})
		return nil
	}, gauge)
}

func (n *instrumentBuilder) observeRedis(f func(report func(connection string, r Redis))) {
	if f == nil {
		return
	}
	breaker := n.gauge("osgate.redis.breaker", "", "Breaker of Redis: 0 closed, 1 half-open, 2 open (no round trips).")
	skipped := n.counter("osgate.redis.skipped", "{round_trip}",
		"Round trips that were not made because Redis was known to be down.")
	connections := n.upDownCounter("db.client.connection.count", "{connection}", "Connections to Redis.")
	timeouts := n.counter("db.client.connection.timeouts", "{timeout}",
		"Timeouts of waiting for a connection to Redis.")
	events := n.counter("osgate.redis.pool.events", "{event}", "Events of connections to Redis.")
	n.register(func(_ context.Context, o metric.Observer) error {
		f(func(connection string, r Redis) {
			with := metric.WithAttributes(attrConnection.String(connection))
			o.ObserveInt64(breaker, breakers[r.Breaker], with)
			o.ObserveInt64(skipped, r.Skipped, with)
			pool := semconv.DBClientConnectionPoolName(connection)
			o.ObserveInt64(connections, r.Idle, metric.WithAttributes(pool, semconv.DBClientConnectionStateIdle))
			o.ObserveInt64(connections, r.Open-r.Idle, metric.WithAttributes(pool, semconv.DBClientConnectionStateUsed))
			o.ObserveInt64(timeouts, r.TimedOut, metric.WithAttributes(pool))
			for event, times := range map[string]int64{"reused": r.Reused, "dialed": r.Dialed, "stale": r.Stale} {
				o.ObserveInt64(events, times,
					metric.WithAttributes(attrConnection.String(connection), attrPoolEvent.String(event)))
			}
		})
		return nil
	}, breaker, skipped, connections, timeouts, events)
}

func (n *instrumentBuilder) observeStatistics(f func() Statistics) {
	if f == nil {
		return
	}
	lag := n.seconds("osgate.stats.lag", "Time since all counts were last written.")
	series := n.gauge("osgate.stats.series", "{series}", "Combinations of place and hour that are counted in memory.")
	waiting := n.gauge("osgate.stats.waiting", "{series}",
		"Those of the series that were passed to the store and not yet acknowledged.")
	lost := n.counter("osgate.stats.losses", "{exchange}",
		"Exchanges counted only for a region or organization, not at all, or in a file that was damaged or replaced.")
	n.register(func(_ context.Context, o metric.Observer) error {
		s := f()
		o.ObserveFloat64(lag, s.Lag.Seconds())
		o.ObserveInt64(series, s.Series)
		o.ObserveInt64(waiting, s.Waiting)
		o.ObserveInt64(lost, s.Coarsened, metric.WithAttributes(attrLost.String("coarsened")))
		o.ObserveInt64(lost, s.Dropped, metric.WithAttributes(attrLost.String("dropped")))
		o.ObserveInt64(lost, s.Lost, metric.WithAttributes(attrLost.String("file")))
		return nil
	}, lag, series, waiting, lost)
}

func (n *instrumentBuilder) observePolicy(f func() Policy) {
	if f == nil {
		return
	}
	rules := n.gauge("osgate.policy.rules", "{rule}", "Policy rules in force, those in shadow mode included.")
	shadow := n.gauge("osgate.policy.shadow.rules", "{rule}", "Policy rules in shadow mode.")
	loaded := n.seconds("osgate.policy.loaded.timestamp", "When the rules in force were read, since the Unix epoch.")
	stale := n.gauge("osgate.policy.stale", "", "1 if newer rules could not be read and the old ones stay in force.")
	n.register(func(_ context.Context, o metric.Observer) error {
		p := f()
		o.ObserveInt64(rules, p.Rules)
		o.ObserveInt64(shadow, p.Shadow)
		if !p.Loaded.IsZero() {
			o.ObserveFloat64(loaded, float64(p.Loaded.UnixMilli())/1000)
		}
		o.ObserveInt64(stale, oneIf(p.Stale))
		return nil
	}, rules, shadow, loaded, stale)
}

func (n *instrumentBuilder) observeLog(f func() int64) {
	if f == nil {
		return
	}
	lost := n.counter("osgate.log.lost", "{line}",
		"Lines of the log that were lost, because the log was not read or a write failed.")
	n.register(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(lost, f())
		return nil
	}, lost)
}

func (n *instrumentBuilder) observeSlots(f func() Slots) {
	if f == nil {
		return
	}
	held := n.gauge("osgate.slots", "{exchange}",
		"Exchanges that hold a slot; refused: until answer and request are complete.")
	limit := n.gauge("osgate.slots.limit", "{exchange}", "Maximum number of exchanges that hold a slot.")
	shed := n.counter("osgate.slots.shed", "{exchange}", "Exchanges without a slot, by the limit that was reached.")
	n.register(func(_ context.Context, o metric.Observer) error {
		s := f()
		for class, taken := range map[string]int64{
			"identified": s.Identified, "unidentified": s.Unidentified, "refused": s.Refused,
		} {
			o.ObserveInt64(held, taken, metric.WithAttributes(attrSlotClass.String(class)))
		}
		for class, most := range map[string]int64{
			"all": s.Limit, "unidentified": s.UnidentifiedLimit, "refused": s.RefusedLimit,
		} {
			o.ObserveInt64(limit, most, metric.WithAttributes(attrSlotClass.String(class)))
		}
		for shortage, times := range map[string]int64{
			"all": s.ShortOfAll, "unidentified": s.ShortOfUnidentified,
			"address": s.ShortOfAddress, "refused": s.ShortOfRefused,
		} {
			o.ObserveInt64(shed, times, metric.WithAttributes(attrShortage.String(shortage)))
		}
		return nil
	}, held, limit, shed)
}

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
