package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"osgate/config"
	"osgate/internal/conns"
	"osgate/internal/sdnotify"
	"osgate/proxy"
	"osgate/stats"
	"osgate/telemetry/logwriter"
)

// Options configures a gateway.
type Options struct {
	Config config.Config
	Logger *slog.Logger
	Log    *logwriter.Writer // the destination of Logger, so that lost lines are reported; nil: unknown
	// Receives the lines "clients URL", "admin URL" and, with a metrics listener,
	// "metrics URL" once the listeners are open; nil: not written.
	Out io.Writer
	// OpenTelemetry's variables, which choose the exports, and those of systemd, which
	// receives reports; nil: neither.
	Environ []string
	Version string
}

// Gateway is a gateway whose listeners are open. Make it by [New], then call
// [Gateway.Run] once.
type Gateway struct {
	*parts
	options    Options
	certs      *certificates // of the client listener; nil: plain HTTP
	adminCerts *certificates // of the admin listener; nil: plain HTTP
	service    *sdnotify.Notifier
	phase      atomic.Int32
	withdrawn  atomic.Bool // by an operator: it serves, and reports that it wants no traffic

	histories *histories
	losses    losses
}

// The phases of a gateway's life, as /readyz reports them.
const (
	phaseStarting = iota
	phaseServing
	phaseDraining
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 120 * time.Second
	readTimeout       = 10 * time.Second // for bodies that net/http reads by itself; the gateway sets its own deadlines
	// Added to the longest wait for an answer, for answers that net/http sends by
	// itself.
	writeGrace       = 60 * time.Second
	writeByteTimeout = 60 * time.Second // for an HTTP/2 connection that accepts no byte
	maxHeaderBytes   = 64 << 10
	closeGrace       = time.Second // for an exchange that was cut off to be recorded
)

// New makes all parts and opens the listeners. It does not serve yet. On an error it
// closes everything.
func New(o Options) (*Gateway, error) {
	p, err := build(o)
	if err != nil {
		return nil, err
	}
	g := &Gateway{parts: p, options: o, histories: newHistories(p.turns)}
	if g.service, err = newService(o.Environ); err == nil {
		err = g.listen()
	}
	if err != nil {
		return nil, errors.Join(err, p.shut())
	}
	g.made.Store(true)
	return g, nil
}

// newService returns the way to systemd, which environ describes; nil if systemd did
// not start this process.
func newService(environ []string) (*sdnotify.Notifier, error) {
	lookup := func(name string) (value string) {
		for _, item := range environ {
			if text, ok := strings.CutPrefix(item, name+"="); ok {
				value = text // the last one counts, as for the os package
			}
		}
		return value
	}
	service, err := sdnotify.New(lookup, os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("reporting to systemd: %w", err)
	}
	return service, nil
}

func (g *Gateway) listen() (err error) {
	if g.certs, err = clientCertificates(g.config, g.logger); err != nil {
		return err
	}
	if g.adminCerts, err = adminCertificates(g.config, g.logger); err != nil {
		return err
	}
	var opened [3]net.Listener
	for i, l := range []struct {
		variable string
		address  config.Address
	}{
		{"OSGATE_LISTEN", g.config.Listen}, {"OSGATE_ADMIN_LISTEN", g.config.Admin.Listen},
		{"OSGATE_METRICS_LISTEN", g.config.Metrics},
	} {
		if l.address == "" {
			continue
		}
		opened[i], err = net.Listen("tcp", string(l.address)) //nolint:noctx // returns at once
		if err != nil {
			err = fmt.Errorf("opening %s: %w", l.variable, err)
			for _, earlier := range opened[:i] {
				err = errors.Join(err, earlier.Close())
			}
			return err
		}
	}
	g.bound(opened[0], opened[1], opened[2])
	return nil
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

// shares returns the shares into which the descriptors of this process are divided.
func shares(c config.Config) conns.Shares {
	return conns.SharesOf(conns.Uses{
		Limit: conns.Descriptors(), Clients: c.Server.MaxConnections,
		Redis: c.Redis.URL.Reveal() != "", Metrics: c.Metrics != "",
	})
}

// ClientsURL returns the base URL for clients, with a loopback address if the listener
// is on every interface.
func (g *Gateway) ClientsURL() string { return scheme(g.certs) + reachable(g.clients.Addr()) }

// AdminURL returns the base URL for operators.
func (g *Gateway) AdminURL() string { return scheme(g.adminCerts) + reachable(g.admin.Addr()) }

// MetricsURL returns the base URL of the metrics listener, "" if there is none.
func (g *Gateway) MetricsURL() string {
	if g.scrapes == nil {
		return ""
	}
	return scheme(nil) + reachable(g.scrapes.Addr())
}

// scheme returns the beginning of a URL of a listener with these certificates.
func scheme(certs *certificates) string {
	if certs != nil {
		return "https://"
	}
	return "http://"
}

// reachable returns an address that a client on this machine can use.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}

// Check makes all parts of o's gateway and closes them again. It returns the error at
// which serve would stop. It opens no file that a running gateway may have locked.
func Check(o Options) error {
	if dir := o.Config.StateDir; dir != "" && o.Config.Redis.URL.Reveal() == "" {
		if err := stats.CheckBolt(dir); err != nil {
			return fmt.Errorf("opening OSGATE_STATE_DIR: %w", err)
		}
	}
	o.Config.StateDir, o.Config.Log.Audit = "", ""
	p, err := build(o)
	if err != nil {
		return err
	}
	_, err = clientCertificates(o.Config, o.Logger)
	_, ofAdmin := adminCertificates(o.Config, o.Logger)
	return errors.Join(err, ofAdmin, p.shut())
}

// Proxy makes the pipeline of o's gateway without a listener, to explain what it would
// do. It opens no file, because a running gateway may have it locked. The caller must
// call shut.
func Proxy(o Options) (pipeline *proxy.Proxy, shut func() error, err error) {
	o.Config.StateDir, o.Config.Log.Audit = "", ""
	p, err := build(o)
	if err != nil {
		return nil, nil, err
	}
	return p.proxy, p.shut, nil
}
