package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"osgate/audit"
	"osgate/auth"
	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/config"
	"osgate/internal/conns"
	"osgate/internal/redisconn"
	"osgate/plaincache"
	"osgate/policy"
	"osgate/proxy"
	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
	"osgate/stats"
	"osgate/telemetry/board"
	"osgate/telemetry/export"
	"osgate/telemetry/fleet"
	"osgate/telemetry/logwriter"
	"osgate/telemetry/metrics"
)

// parts holds the parts of the gateway.
type parts struct {
	config     config.Config
	version    string
	logger     *slog.Logger
	log        *logwriter.Writer // the destination of logger; nil: unknown
	regions    *regionmap.Map
	files      *settingFiles
	overrides  atomic.Pointer[map[string]int] // of quotas, by client ID
	redis      *redisconn.Conn                // nil: embedded
	auth       *auth.Authenticator
	brokering  *brokering
	audit      *audit.Writer        // nil: there is no audit file
	discovery  *regionmap.Discovery // nil: stores are not searched for
	cache      *cache.Cache
	identities *auth.Redis            // nil: each process keeps its own identities
	grants     *coherence.RedisGrants // nil: as identities
	bodies     *cache.SharedBodies    // nil: each process keeps its own bodies
	// A connection for bodies only, so that they never delay quotas; nil: as bodies.
	shared    *redisconn.Conn
	plain     *plaincache.Server // nil: the gateway itself serves clients
	web       *plaincache.Cache  // of plain
	coherence *coherence.Redis   // nil: embedded
	stats     *stats.Counter
	// A connection for statistics only, so that a list of thousands of stores does not
	// delay quotas; nil: embedded.
	counts         *redisconn.Conn
	roster         *fleet.Roster // of the replicas; nil: embedded
	names          *auth.Names   // that control planes give to ids
	host           string        // the name of this machine
	turns          *turns        // limits how many read statistics
	exports        *export.Exports
	console        *heldBack      // of exports; blocks until the addresses have been written
	traces         *export.Traces // nil: traces are off
	metrics        *metrics.Metrics
	board          *board.Board
	trips          *board.Latency  // of round trips to Redis
	planeLatencies *planeLatencies // of calls to control planes
	policy         *policy.Policy
	pauses         *ratelimit.Pauses
	proxy          *proxy.Proxy

	clients *conns.Listener // nil until it is open
	admin   *conns.Listener // the same
	scrapes *conns.Listener // the metrics listener; nil: there is none

	environments *auth.EnvironmentTypes
	adminTries   adminTries

	made atomic.Bool // true once all parts are made and serve; before, metrics read no part

	close []func() error // in the order in which the parts were made
}

// build makes all parts. On an error it closes those already made.
func build(o Options) (p *parts, err error) {
	c := o.Config
	p = &parts{
		config: c, version: o.Version, logger: o.Logger, log: o.Log, trips: board.NewLatency(),
		names: auth.NewNames(), host: hostName(),
		planeLatencies: &planeLatencies{by: map[string]*board.Latency{}},
		pauses:         ratelimit.NewPauses(ratelimit.PausesOptions{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.shut())
		}
	}()
	if err = p.openExports(o); err != nil {
		return p, err
	}
	if p.regions, err = Regions(c); err != nil {
		return p, err
	}
	if err = p.openAudit(o); err != nil {
		return p, err
	}
	p.overrides.Store(&c.Rate.Overrides)
	p.files = newSettingFiles(c, o.Logger, p.applySettings)
	transport, err := Transport(c)
	if err != nil {
		return p, err
	}
	for _, part := range []func() error{p.openRedis, p.makeStats, p.makeCache, p.makeTelemetry} {
		if err = part(); err != nil {
			return p, err
		}
	}
	return p, p.makePipeline(o, transport)
}

// openExports opens the exports of telemetry that the environment names. Log lines from
// then on are exported too.
func (p *parts) openExports(o Options) error {
	plan, err := export.ReadPlan(getenv(o.Environ))
	if err != nil {
		return err
	}
	out := o.Out
	if out == nil {
		out = io.Discard
	}
	p.console = holdBack(out)
	p.exports, err = export.Open(context.Background(), plan, export.Options{
		Version: o.Version, Console: p.console, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	p.close = append(p.close,
		func() error { p.exports.Close(context.Background()); return nil },
		func() error { p.console.release(); return nil })
	p.logger = p.exports.Logger(o.Logger)
	c := p.config
	p.traces = p.exports.NewTraces(export.TracesOptions{
		Slow: c.Trace.Slow, Names: c.Trace.Names, Key: c.Key(), TLS: c.TLS.Cert != "",
		Redis: c.Redis.URL.Reveal() != "", Server: upstreamOf,
	})
	return nil
}

// heldBack is a writer that blocks until it is released. It is safe for concurrent use.
type heldBack struct {
	io.Writer
	release func()
	over    chan struct{} // closed by release
}

func holdBack(w io.Writer) *heldBack {
	h := &heldBack{Writer: w, over: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.over) })
	return h
}

// Write implements [io.Writer].
func (h *heldBack) Write(p []byte) (int, error) {
	<-h.over
	return h.Writer.Write(p) //nolint:wrapcheck // the error is the other writer's
}

// hostName returns the name of this machine, pod or container, "" if it has none.
func hostName() string {
	name, _ := os.Hostname() // the id distinguishes replicas without a name
	return record.ShortName(name)
}

// openAudit opens the audit file, if one is configured.
func (p *parts) openAudit(o Options) (err error) {
	if p.config.Log.Audit == "" {
		return nil
	}
	p.audit, err = audit.New(audit.Options{
		Path: p.config.Log.Audit, Secret: p.config.Key(), Instance: o.Version, OnChange: p.auditChanged,
	})
	if err != nil {
		return fmt.Errorf("opening OSGATE_AUDIT_FILE: %w", err)
	}
	p.close = append(p.close, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), auditEnd)
		defer cancel()
		return p.audit.Close(ctx)
	})
	return nil
}

// auditEnd bounds how long the end of the process waits for the last lines, and how long
// a new file may take to be opened.
const auditEnd = 5 * time.Second

// auditChanged logs one line for a change of the audit file's state.
func (p *parts) auditChanged(c audit.Change) {
	switch {
	case c.Err != nil:
		p.logger.Error("the audit file cannot be written; requests are served, and lines wait or are lost",
			"lost", c.Lost, "cause", c.Err.Error())
	case c.Lost > 0:
		p.logger.Error("lines of the audit file were lost", "lost", c.Lost)
	default:
		p.logger.Info("the audit file is written again")
	}
}

// applySettings applies the settings in c that may change while the gateway runs.
func (p *parts) applySettings(c config.Config) error {
	if err := p.regions.SetRoutes(regionOptions(c).Routes); err != nil {
		return err //nolint:wrapcheck // the error names the route
	}
	p.overrides.Store(&c.Rate.Overrides)
	p.cache.SetRules(cacheRules(c.Cache.Rules))
	return nil
}

// openRedis opens the connection to Redis that exchanges use, if Redis is configured.
func (p *parts) openRedis() (err error) {
	p.redis, err = OpenRedis(p.config, redisconn.Options{
		Group: true, OnChange: p.redisChanged, OnRights: p.rightsChanged, OnTrip: p.tripped(mainConnection),
	})
	if p.redis != nil {
		p.close = append(p.close, p.redis.Close)
	}
	return err
}

// redisChanged logs one line for a change of Redis's state.
func (p *parts) redisChanged(s redisconn.State) {
	if s.OK {
		p.logger.Info("redis is available again")
		return
	}
	p.logger.Warn("redis is unavailable", "quotas", quotasWithoutRedis(p.config.Rate), "cause", s.LastError)
}

// rightsChanged logs one line when the commands change that Redis does not permit to
// the user of OSGATE_REDIS_URL.
func (p *parts) rightsChanged(denied string) {
	if denied == "" {
		p.logger.Info("redis permits every command that osgate uses")
		return
	}
	p.logger.Warn("redis does not permit some commands to the user of OSGATE_REDIS_URL; features that need them work as without redis", "commands", denied)
}

// makeCache makes the cache. It is coherent with all gateways that share its Redis, or
// within the process without one.
func (p *parts) makeCache() (err error) {
	c := p.config.Cache
	lease := 2 * p.config.Upstream.Timeout // within this time a write takes effect, or never
	var writes coherence.Tracker           // nil: in process
	if p.redis != nil {
		if p.coherence, err = coherence.NewRedis(p.redis,
			coherence.RedisOptions{Settle: lease, Strict: c.Strict}); err != nil {
			return err
		}
		writes = p.coherence
	}
	o := cache.Options{
		KeyTTL: c.KeyTTL, StoresTTL: c.StoresTTL, KeysTTL: c.KeysTTL,
		Bytes: int64(c.Bytes), EntryBytes: int64(min(c.EntryBytes, c.Bytes)),
		StaleIfError: c.StaleIfError, StaleWhileRevalidate: c.StaleWhileRevalidate,
		IgnoreClients: !c.ClientControl, RequireTTL: true, Rules: cacheRules(c.Rules),
		GrantTTL: p.config.Auth.TTL, WriteLease: lease, Coherence: writes, OnHold: p.clientHolds,
	}
	if err = p.share(&o); err != nil {
		return err
	}
	p.cache, err = cache.New(o)
	return err
}

// cacheRules translates the freshness rules of the configuration.
func cacheRules(rules config.CacheRules) (all []cache.Rule) {
	for _, r := range rules {
		all = append(all, cache.Rule{
			Organization: r.Organization, Environment: r.Environment, Store: r.Store, Prefix: r.Prefix, TTL: r.TTL,
		})
	}
	return all
}

// share lets replicas with the same secret share grants, which are sent together with
// the generations, and entries, which have a connection of their own.
func (p *parts) share(o *cache.Options) (err error) {
	secret := p.config.Key()
	if p.redis == nil || len(secret) == 0 {
		return nil
	}
	if p.grants, err = p.coherence.Grants(secret); err != nil {
		return fmt.Errorf("sharing grants: %w", err)
	}
	o.SharedGrants = p.grants
	if !p.config.Cache.Shared {
		return nil
	}
	if p.shared, err = OpenRedis(p.config, redisconn.Options{OnTrip: p.tripped(bodiesConnection)}); err != nil {
		return err
	}
	p.close = append(p.close, p.shared.Close)
	if p.bodies, err = cache.NewSharedBodies(p.shared, secret,
		cache.SharedOptions{EntryBytes: o.EntryBytes}); err != nil {
		return fmt.Errorf("sharing bodies: %w", err)
	}
	o.Shared = p.bodies
	return nil
}

// clientHolds logs that a client makes reads bypass the cache.
func (p *parts) clientHolds(h cache.Holding) {
	p.logger.Warn("a client keeps reads past the cache",
		"client", h.Client, "location", h.Location, "store", h.Store, "why", h.Why,
		"leases", h.Leases, "until", h.Until.UTC().Format(time.RFC3339))
}

// shut closes the open parts, last made first.
func (p *parts) shut() error {
	var problems []error
	for _, end := range slices.Backward(p.close) {
		problems = append(problems, end())
	}
	p.close = nil
	return errors.Join(problems...)
}
