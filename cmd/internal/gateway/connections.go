package gateway

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"osgate/admin"
	"osgate/config"
	"osgate/internal/conns"
	"osgate/telemetry/metrics"
)

// shares returns the shares into which the descriptors of this process are divided.
func shares(c config.Config) conns.Shares {
	return conns.SharesOf(conns.Uses{
		Limit: conns.Descriptors(), Clients: c.Server.MaxConnections,
		Redis: c.Redis.URL.Reveal() != "", Metrics: c.Metrics != "",
	})
}

// bound limits the listeners to their shares of the descriptors. Metrics may be nil.
func (g *Gateway) bound(clients, admin, metrics net.Listener) {
	share := shares(g.config)
	o := conns.Options{
		Limit: share.Clients, Exempt: g.config.Server.TrustedProxies, Handshake: readHeaderTimeout,
		Changed: g.connectionsChanged("clients"), Failed: g.handshakeFailed,
	}
	if g.proxy != nil { // nil: the cache alone (OSGATE_CACHE_MODE=rfc9111)
		o.Refuse = g.refused
	}
	if g.certs != nil {
		o.TLS = g.certs.config()
	}
	g.clients = conns.New(clients, o)
	o = conns.Options{
		Limit: share.Admin, Handshake: readHeaderTimeout,
		Changed: g.connectionsChanged("admin"), Failed: g.handshakeFailed,
	}
	if g.adminCerts != nil {
		o.TLS = g.adminCerts.config()
	}
	g.admin = conns.New(admin, o)
	if metrics != nil {
		g.scrapes = conns.New(metrics, conns.Options{Limit: share.Metrics, Changed: g.connectionsChanged("metrics")})
	}
}

// connectionsChanged returns a function that logs when a problem of a listener begins
// and ends, and once a minute while it lasts.
func (p *parts) connectionsChanged(listener string) func(conns.Change) {
	return func(c conns.Change) {
		switch {
		case c.Problem == conns.Full && c.Over:
			p.logger.Info("there is room for connections again", "listener", listener, "closed", c.Times)
		case c.Problem == conns.Full:
			p.logger.Warn("all connections are in use; idle ones are closed for new ones",
				"listener", listener, "closed", c.Times)
		case c.Over:
			p.logger.Info("connections are accepted again", "listener", listener, "failures", c.Times)
		default:
			p.logger.Warn("new connections cannot be accepted",
				"listener", listener, "failures", c.Times, "cause", c.Cause)
		}
	}
}

// handshakeFailed logs a failed TLS handshake, at DEBUG because clients can cause it at
// will.
func (p *parts) handshakeFailed(remote net.Addr, err error) {
	p.logger.Debug("a TLS handshake has failed",
		slog.String("remote_addr", remote.String()), slog.String("cause", err.Error()))
}

// refused answers a request that the server could not read.
func (p *parts) refused(r conns.Refusal) []byte {
	var remote netip.AddrPort
	if tcp, ok := r.Remote.(*net.TCPAddr); ok {
		remote = tcp.AddrPort()
	}
	return p.proxy.Unread(remote, r.Status, r.Reason)
}

// connectionsReasons returns the problems with the clients' connections.
func connectionsReasons(s conns.State, n conns.Counts) (reasons []admin.Reason) {
	if s.Full {
		reasons = append(reasons, admin.Reason{Part: connsPart, Detail: fmt.Sprintf(
			"all %d connections were in use within the last 10 seconds: idle ones are closed for new ones; new ones are refused where none is idle", n.Limit)})
	}
	if s.Failing {
		reasons = append(reasons, admin.Reason{
			Part: connsPart, Detail: "new connections cannot be accepted: " + s.Cause,
		})
	}
	return reasons
}

// reportConnections reports the state and counts of the listeners.
func (p *parts) reportConnections(report func(listener string, c metrics.Connections)) {
	for _, l := range []struct {
		name string
		*conns.Listener
	}{{"clients", p.clients}, {"admin", p.admin}, {"metrics", p.scrapes}} {
		if l.Listener == nil {
			continue
		}
		n := l.Counts()
		report(l.name, metrics.Connections{
			Limit: int64(n.Limit), Idle: int64(n.Idle), Active: int64(n.Busy),
			Events: map[string]int64{
				"closed_idle": n.ClosedIdle, "closed_active": n.ClosedBusy, "refused": n.Refused,
				"accept_failed": n.Failed, "handshake_failed": n.Handshakes,
			},
		})
	}
}
