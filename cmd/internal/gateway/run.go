package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"osgate/config"
	"osgate/internal/conns"
	"osgate/proxy"
	"osgate/telemetry/logwriter"
)

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

// unlessClosed returns the error of a server, nil if the server was stopped on purpose.
func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// closeListeners closes the listeners of a gateway that does not serve.
func (g *Gateway) closeListeners() (err error) {
	for _, listener := range g.listeners() {
		err = errors.Join(err, listener.Close())
	}
	return err
}

// listeners returns the open listeners.
func (g *Gateway) listeners() []*conns.Listener {
	all := []*conns.Listener{g.clients, g.admin}
	if g.scrapes != nil {
		all = append(all, g.scrapes)
	}
	return all
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

// watchPolicy loads changed rules until ctx ends.
func (p *parts) watchPolicy(ctx context.Context) error {
	if err := p.policy.Run(ctx); err != nil && ctx.Err() == nil {
		return err //nolint:wrapcheck // the error names the failed step
	}
	return nil
}

// announce reports that the gateway serves: it writes the addresses to Out for
// programs, and logs the main settings and the notes for operators.
func (g *Gateway) announce() {
	if g.options.Out != nil {
		// The reader may be absent or leave, which must not keep the gateway from
		// serving.
		out := logwriter.New(g.options.Out, nil)
		fmt.Fprintf(out, "clients %s\nadmin %s\n", g.ClientsURL(), g.AdminURL())
		if g.scrapes != nil {
			fmt.Fprintf(out, "metrics %s\n", g.MetricsURL())
		}
		out.Flush(announceWithin)
	}
	g.console.release() // programs read these lines first
	state := "embedded"
	if g.redis != nil {
		state = g.redis.String()
	}
	fields := []any{"version", g.version, "clients", g.ClientsURL(), "admin", g.AdminURL(), "state", state}
	if g.scrapes != nil {
		fields = append(fields, "metrics", g.MetricsURL())
	}
	g.logger.Info("serving", fields...)
	for _, note := range g.notes() {
		g.logger.Warn("note", "consequence", note)
	}
}

// announceWithin bounds how long the start waits for the addresses to be read.
const announceWithin = 2 * time.Second

// notes returns the consequences of the configuration that may surprise an operator.
func (g *Gateway) notes() (notes []string) {
	c := g.config
	if g.redis == nil && c.StateDir == "" {
		notes = append(notes, "statistics are kept in memory only and are lost when this process ends; set OSGATE_STATE_DIR or OSGATE_REDIS_URL")
	}
	if g.plain != nil {
		notes = append(notes, "OSGATE_CACHE_MODE=rfc9111: this is a plain HTTP cache in front of OSGATE_UPSTREAM_OVERRIDE, without identity, policy or quota")
	}
	if g.redis != nil && c.Secret.Reveal() == "" {
		notes = append(notes, "without OSGATE_SECRET neither bodies nor identities are shared between replicas")
	}
	if c.Accounts && g.certs == nil && !c.Listen.Loopback() {
		notes = append(notes, "Access Management calls carry secrets and arrive over plain HTTP; set OSGATE_TLS_CERT and _KEY, or OSGATE_ACCOUNTS=false")
	}
	if c.Admin.Token.Reveal() != "" && c.Admin.ShortToken() {
		notes = append(notes, fmt.Sprintf(
			"OSGATE_ADMIN_TOKEN has fewer than %d characters: it can be guessed; set a random one",
			config.MinAdminToken))
	}
	if g.adminCerts == nil && !c.Admin.Listen.Loopback() {
		notes = append(notes, "OSGATE_ADMIN_TOKEN arrives over plain HTTP; "+
			"set OSGATE_ADMIN_TLS_CERT and _KEY, or use a proxy with TLS on this machine and OSGATE_ADMIN_LISTEN on loopback")
	}
	if g.redis == nil && c.Rate.Replicas > 1 {
		notes = append(notes, "without OSGATE_REDIS_URL each replica counts separately: a client has its full quota in each of OSGATE_REPLICAS")
	}
	if g.redis != nil && c.StateDir != "" {
		notes = append(notes, "OSGATE_STATE_DIR is not used: statistics are kept in Redis")
	}
	if !c.Auth.Methods.Has(introspect) && (c.Auth.ClientID != "" || c.Auth.IntrospectionURL.Reveal() != nil) {
		notes = append(notes,
			"OSGATE_AUTH_CLIENT_ID and OSGATE_AUTH_INTROSPECTION_URL are not used: OSGATE_AUTH does not list introspect")
	}
	if u := c.Auth.IntrospectionURL.Reveal(); c.Auth.Methods.Has(introspect) && u != nil && u.Scheme == "http" {
		notes = append(notes,
			"OSGATE_AUTH_INTROSPECTION_URL is plain HTTP: the client secret and every token are sent to it unencrypted")
	}
	if c.Auth.Methods.Has(introspect) && c.Auth.IntrospectionURL.Reveal() != nil && len(g.regions.EnabledPlanes()) > 1 {
		notes = append(notes, "OSGATE_AUTH_INTROSPECTION_URL validates the tokens of all control planes; set OSGATE_PLANES to the plane that it belongs to")
	}
	if share, limit := shares(c), conns.Descriptors(); share.Sum() > limit {
		notes = append(notes, fmt.Sprintf(
			"OSGATE_MAX_CONNECTIONS and the rest of the process may need %d file descriptors, but the limit is %d; "+
				"raise the limit (ulimit -n, LimitNOFILE)", share.Sum(), limit))
	}
	notes = append(notes, g.brokering.notes(c)...)
	if c.Upstream.Override.Reveal() != nil {
		notes = append(notes, "every upstream call goes to OSGATE_UPSTREAM_OVERRIDE and not to Anypoint")
	}
	return notes
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

// handler returns the handler for clients.
func (g *Gateway) handler() http.Handler {
	if g.plain != nil {
		return proxy.Bounded(g.plain)
	}
	return g.proxy
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

// stopping reports to systemd that the gateway drains, and how long that may take.
func (g *Gateway) stopping() {
	within := g.config.Server.DrainDelay + g.config.Server.DrainTimeout + flushGrace
	g.notified(g.service.Stopping(g.status(), within))
}

// flushGrace is how long the end of a gateway takes at most after its drain, until its
// counts, telemetry and log are written.
const flushGrace = 25 * time.Second

// notified logs that a report did not reach systemd. The gateway serves without it.
func (g *Gateway) notified(err error) {
	if err != nil {
		g.logger.Warn("systemd cannot be notified", "cause", err.Error())
	}
}

// status describes the readiness in one line for systemctl status. It waits for the
// locks of all parts, so that a gateway that is stuck gives no sign of life.
func (g *Gateway) status() string {
	r := g.readiness()
	parts := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		parts[i] = reason.Part
	}
	if len(parts) == 0 {
		return string(r.Status)
	}
	return string(r.Status) + ": " + strings.Join(parts, ", ")
}
