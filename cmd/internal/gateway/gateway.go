package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"osgate/config"
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

// Run serves until ctx ends, then drains: it is not ready for OSGATE_DRAIN_DELAY, then
// it accepts no new exchanges, waits up to OSGATE_DRAIN_TIMEOUT for the running ones,
// and flushes the counts. It returns nil after an orderly end, which it logs. It does
// not log the error that it returns.
func (g *Gateway) Run(ctx context.Context) error {
	clients := g.clientServer()
	observers, err := g.observerServers()
	if err != nil {
		return errors.Join(err, g.closeListeners(), g.shut())
	}
	// The background workers run longer than the exchanges, so that the last exchange
	// is counted.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	workers := g.workers(background)
	serving, lost := errgroup.WithContext(ctx)
	for _, o := range observers {
		serving.Go(func() error { return unlessClosed(o.Serve(o.listener)) })
	}
	serving.Go(func() error { return unlessClosed(clients.Serve(g.clients)) })
	g.announce()
	g.phase.Store(phaseServing)
	g.notified(g.service.Ready(g.status()))
	<-lost.Done() // the end of ctx or of a listener
	problem := g.drain(ctx, clients)
	stop()
	problem = errors.Join(problem, workers.Wait())
	for _, o := range observers { // last, so that the whole drain can be observed
		problem = errors.Join(problem, o.Close())
	}
	problem = errors.Join(problem, serving.Wait(), g.shut())
	if problem == nil { // otherwise the caller reports the error
		g.logger.Info("stopped")
	}
	return problem
}

// Reload reads again the files that may change while the gateway runs: certificates at
// once, the policy and settings files once they no longer change. An invalid file
// leaves the former content in force, is logged, and is reported by /readyz.
func (g *Gateway) Reload() {
	if g.phase.Load() == phaseServing {
		g.notified(g.service.Reloading())
		defer func() {
			if g.phase.Load() == phaseServing { // otherwise systemd knows that it stops
				g.notified(g.service.Ready(g.status()))
			}
		}()
	}
	for _, certs := range []*certificates{g.certs, g.adminCerts} {
		if certs != nil {
			certs.reload(true)
		}
	}
	var all sync.WaitGroup
	all.Go(func() { _ = g.policy.Reload() }) // policyChanged reports the error
	all.Go(g.files.reload)
	all.Go(g.reopenAudit)
	if g.brokering != nil && g.brokering.certificates != nil {
		all.Go(func() { _ = g.brokering.certificates.Reload() }) // clientCertificatesChanged reports the error
	}
	all.Wait()
}

// unlessClosed returns the error of a server, nil if the server was stopped on purpose.
func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// workers starts the background workers, which run until ctx ends.
func (g *Gateway) workers(ctx context.Context) *errgroup.Group {
	var all errgroup.Group
	all.Go(func() error { return g.exports.Run(ctx) })
	all.Go(func() error { return g.stats.Run(ctx) })
	all.Go(func() error { return g.cache.Run(ctx) })
	all.Go(func() error { return g.watchPolicy(ctx) })
	all.Go(func() error { return g.service.Run(ctx, g.status, g.notified) })
	all.Go(func() error { return g.files.watch(ctx) })
	for _, listener := range g.listeners() {
		all.Go(func() error { return listener.Run(ctx) })
	}
	if g.bodies != nil {
		all.Go(func() error { return g.bodies.Run(ctx) })
		all.Go(func() error { return g.shared.Run(ctx) })
	}
	if g.web != nil {
		all.Go(func() error { return g.web.Run(ctx) })
	}
	if g.redis != nil {
		all.Go(func() error { return g.redis.Run(ctx) })
		all.Go(func() error { return g.coherence.Run(ctx) })
		all.Go(func() error { return g.counts.Run(ctx) })
		all.Go(func() error { return g.report(ctx) })
	}
	for _, certs := range []*certificates{g.certs, g.adminCerts} {
		if certs != nil {
			all.Go(func() error { return certs.watch(ctx) })
		}
	}
	if g.brokering != nil && g.brokering.issuers != nil {
		g.brokering.issuers.Warm()
	}
	if g.brokering != nil && g.brokering.certificates != nil {
		all.Go(func() error { _ = g.brokering.certificates.Run(ctx); return nil }) // only ctx ends it
	}
	return &all
}

// drain stops serving clients. It cuts off no exchange before OSGATE_DRAIN_TIMEOUT.
func (g *Gateway) drain(ctx context.Context, clients *http.Server) error {
	g.phase.Store(phaseDraining)
	g.stopping()
	g.proxy.Retire()
	if ctx.Err() != nil {
		g.logger.Info("draining", "delay", g.config.Server.DrainDelay.String(), "exchanges", g.proxy.Exchanges())
		<-time.After(g.config.Server.DrainDelay)
	}
	g.proxy.Drain()
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.config.Server.DrainTimeout)
	defer cancel()
	err := clients.Shutdown(within)
	if errors.Is(err, context.DeadlineExceeded) {
		g.logger.Warn("exchanges were cut off at OSGATE_DRAIN_TIMEOUT", "exchanges", g.proxy.Exchanges())
		err = clients.Close()
		g.ended(closeGrace)
	}
	return errors.Join(err, g.endCalls(within))
}

// endCalls ends, all at once, the calls that finished exchanges have started and no
// exchange waits for: refreshes as long as ctx lasts and a moment longer, validations
// and searches within their own bounds.
func (g *Gateway) endCalls(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(closeGrace, untilEnd(ctx)))
	defer cancel()
	var all errgroup.Group
	all.Go(func() error { return g.proxy.Close(ctx) })
	all.Go(func() error { g.auth.Close(); return nil })
	all.Go(func() error { g.environments.Close(); return nil })
	if g.discovery != nil {
		all.Go(func() error { g.discovery.Close(); return nil })
	}
	if g.plain != nil {
		all.Go(func() error { g.plain.Close(); return nil })
	}
	return all.Wait()
}

// untilEnd returns the time until the deadline of ctx.
func untilEnd(ctx context.Context) time.Duration {
	end, _ := ctx.Deadline()
	return time.Until(end)
}

// ended waits until the exchanges that were cut off have been recorded, for grace at
// most.
func (g *Gateway) ended(grace time.Duration) {
	tick, late := time.NewTicker(10*time.Millisecond), time.After(grace)
	defer tick.Stop()
	for g.proxy.Exchanges() > 0 {
		select {
		case <-tick.C:
		case <-late:
			return
		}
	}
}

// handler returns the handler for clients.
func (g *Gateway) handler() http.Handler {
	if g.plain != nil {
		return g.plain
	}
	return g.proxy
}

func (g *Gateway) clientServer() *http.Server {
	server := &http.Server{
		Handler:                      g.handler(),
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is refused and recorded as other requests are
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		HTTP2:                        &http.HTTP2Config{WriteByteTimeout: writeByteTimeout},
		WriteTimeout:                 g.config.Rate.MaxWait + g.config.Upstream.Timeout + writeGrace,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ErrorLog:                     slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}
	g.clients.Attach(server)
	return server
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
