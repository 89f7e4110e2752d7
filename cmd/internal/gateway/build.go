package gateway

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
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
	plain     *proxy.Plain      // nil: the gateway itself serves clients
	web       *plaincache.Cache // of plain
	coherence *coherence.Redis  // nil: embedded
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

// Configure reads the configuration and returns every problem with it, including the
// names of planes and regions, the rules of the policy and OpenTelemetry's own
// variables.
func Configure(environ []string) (config.Config, error) {
	return config.Load(environ, checkRegions, checkPolicy, checkExports(environ))
}

// ConfigureAlone is Configure without the files that a running gateway reads again. A
// running gateway keeps its rules while the files on disk are invalid, which is when
// operators look at it.
func ConfigureAlone(environ []string) (config.Config, error) {
	return config.Load(config.WithoutLinesFiles(environ), checkRegions)
}

// checkRegions returns the problems of a region map under the names of the variables
// that it is made from.
func checkRegions(c config.Config) (problems []config.Problem) {
	_, err := regionmap.New(regionOptions(c))
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range all.Unwrap() {
		if e, ok := errors.AsType[*regionmap.OptionError](err); ok {
			variable := map[string]string{
				"Planes": "PLANES", "Regions": "REGIONS", "Routes": "ROUTES", "Default": "DEFAULT_REGION",
			}[e.Option]
			problems = append(problems, config.Problem{Variable: config.Prefix + variable, Detail: e.Detail})
		}
	}
	return problems
}

// Regions makes a region map from the locations in c.
func Regions(c config.Config) (*regionmap.Map, error) {
	m, err := regionmap.New(regionOptions(c))
	if err != nil {
		return nil, fmt.Errorf(
			"reading OSGATE_PLANES, OSGATE_REGIONS, OSGATE_ROUTES and OSGATE_DEFAULT_REGION: %w", err)
	}
	return m, nil
}

func regionOptions(c config.Config) regionmap.Options {
	o := regionmap.Options{Discover: c.Regions.Discover, Planes: c.Regions.Planes,
		Regions: c.Regions.Allowed, Default: string(c.Regions.Default)}
	for _, r := range c.Regions.Routes {
		o.Routes = append(o.Routes, regionmap.Route{Organization: r.Organization, Environment: r.Environment,
			Store: r.Store, To: string(r.Location)})
	}
	return o
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

// Transport makes the transport to upstream that c describes.
func Transport(c config.Config) (proxy.Transport, error) {
	o := proxy.TransportOptions{Timeout: c.Upstream.Timeout, IdleTimeout: c.Upstream.Idle,
		MaxConnections: shares(c).Upstream}
	if c.Upstream.CA != "" {
		pem, err := os.ReadFile(c.Upstream.CA)
		if err != nil {
			return proxy.Transport{}, fmt.Errorf("reading OSGATE_UPSTREAM_CA: %w", err)
		}
		if o.Roots, err = x509.SystemCertPool(); err != nil {
			return proxy.Transport{}, fmt.Errorf("reading the system's authorities: %w", err)
		}
		if !o.Roots.AppendCertsFromPEM(pem) {
			return proxy.Transport{}, errors.New("OSGATE_UPSTREAM_CA contains no PEM certificate")
		}
	}
	return proxy.NewTransport(o), nil
}

// Endpoint returns a function that returns the Access Management address of a plane.
func Endpoint(c config.Config) func(plane string) auth.Endpoint {
	return func(plane string) auth.Endpoint {
		host := regionmap.AccountsHost(plane)
		if c.Upstream.Override.Reveal() != nil {
			return auth.Endpoint{URL: c.Upstream.Override.Reveal(), Host: host}
		}
		return auth.Endpoint{URL: &url.URL{Scheme: "https", Host: host}, Host: host}
	}
}

// OpenRedis opens the connection that c names, nil without one. The callbacks of o
// receive changes of its state. It does not connect yet.
func OpenRedis(c config.Config, o redisconn.Options) (*redisconn.Conn, error) {
	if c.Redis.URL.Reveal() == "" {
		return nil, nil //nolint:nilnil // a gateway without Redis is valid
	}
	o.URL, o.Timeout, o.Prefix = c.Redis.URL.Reveal(), c.Redis.Timeout, c.Redis.Prefix
	conn, err := redisconn.Open(o)
	if err != nil {
		return nil, fmt.Errorf("reading OSGATE_REDIS_URL: %w", err)
	}
	return conn, nil
}

// build makes all parts. On an error it closes those already made.
func build(o Options) (p *parts, err error) {
	c := o.Config
	p = &parts{
		config: c, version: o.Version, logger: o.Logger, log: o.Log, trips: board.NewLatency(),
		names: auth.NewNames(), host: hostName(),
		planeLatencies: newPlaneLatencies(), pauses: ratelimit.NewPauses(ratelimit.PausesOptions{}),
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
	limiter := p.counting(ratelimit.Mode(c.Rate.RedisDown))
	each := p.counting(ratelimit.ModeLocal) // for limits per second; without Redis the share of this replica
	guesses := ratelimit.NewFailures(each, perSecond(c.Auth.FailureRate))
	for _, part := range []func() error{
		func() error { return p.makeIdentity(transport, guesses) },
		func() error { return p.makeBrokering(transport, guesses) }, p.makeDiscovery,
		func() error { return p.makePlain(transport) }, func() error { return p.makePolicy(transport) },
	} {
		if err = part(); err != nil {
			return p, err
		}
	}
	p.proxy, err = proxy.New(proxy.Options{
		Regions: p.regions, Identity: p.auth, Policy: p.policy, Environments: p.environments,
		TokenMethod: tokenMethodOf(c), Brokering: p.brokering.forProxy(c),
		Limiter: ratelimit.NewTurns(ratelimit.TurnsOptions{Limiter: limiter,
			MaxWaiters: c.Server.MaxExchanges / 2}),
		Pauses: p.pauses, Guesses: guesses, Cache: p.cache, Statistics: answerer{p.stats, p.turns},
		Discovery: p.discovery, CallLimiter: each, CallRate: perSecond(c.AccountsRate), Allowances: p.allowances(),
		Keeper: p.keepers(o), Trace: p.tracing(), Transport: transport, Override: c.Upstream.Override.Reveal(),
		Accounts: c.Accounts, TrustedProxies: c.Server.TrustedProxies, Origins: c.Server.Origins,
		Quota: p.quotas(c.Rate), CountUpstream: c.Rate.Counts == countUpstream,
		Budget: budget(c), BudgetBy: c.Budget.By, Budgeted: p.metrics.BudgetDecision, MaxWait: c.Rate.MaxWait,
		SharedScope: c.Cache.Scope == environmentScope, RegionChanged: p.regionChanged,
		Timeout: c.Upstream.Timeout, MaxBody: int64(c.Server.MaxBody), MaxExchanges: c.Server.MaxExchanges,
		ServerTiming: c.Server.Timing, Ambiguous: conns.Ambiguous, Identified: conns.Identified,
	})
	return p, err
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

// plainMode is the value of OSGATE_CACHE_MODE that serves public test suites.
const plainMode = "rfc9111"

// environmentScope is the value of OSGATE_CACHE_SCOPE with which principals share
// entries.
const environmentScope = "environment"

// countUpstream is the value of OSGATE_RATE_COUNTS with which hits cost no quota.
const countUpstream = "upstream"

// introspect is the value of OSGATE_AUTH for validation by RFC 7662.
const introspect = "introspect"

// makeIdentity makes the part that identifies callers by their tokens. Replicas share
// identities if they share a Redis and a secret.
func (p *parts) makeIdentity(transport proxy.Transport, guard auth.Guard) (err error) {
	c := p.config.Auth
	var asker auth.Resolver = &auth.Anypoint{
		Transport: transport.Shared, Endpoint: Endpoint(p.config), Names: p.names,
	}
	if c.Methods.Has(introspect) {
		asker = &auth.Introspection{
			Transport: transport.Shared, Endpoint: Endpoint(p.config), URL: c.IntrospectionURL.Reveal(),
			ClientID: c.ClientID, Secret: c.ClientSecret.Reveal(),
		}
	}
	o := auth.Options{
		Resolver: &learner{asker, p.stats}, TTL: c.TTL, NegativeTTL: c.NegativeTTL, Stale: c.Stale,
		Secret: p.config.Key(), Guard: guard, OnChange: p.planeChanged, OnLookup: p.asked,
	}
	if p.redis != nil && len(o.Secret) > 0 {
		if p.identities, err = auth.NewRedis(p.redis, o.Secret); err != nil {
			return fmt.Errorf("sharing identities: %w", err)
		}
		o.Shared = p.identities
	}
	p.auth, err = auth.New(o)
	return err
}

// planeChanged logs one line for a change of a control plane's state.
func (p *parts) planeChanged(s auth.PlaneState) {
	if s.OK {
		p.logger.Info("a control plane is available again", "plane", s.Plane)
		return
	}
	p.logger.Warn("a control plane is unavailable; known tokens are forwarded, unknown ones wait",
		"plane", s.Plane, "cause", s.LastError)
}

// regionChanged logs one line when connections to a region begin to fail, or succeed
// again.
func (p *parts) regionChanged(s regionmap.ReachState) {
	if s.OK {
		p.logger.Info("a region is reachable again", "plane", s.Location.Plane, "region", s.Location.Region)
		return
	}
	p.logger.Warn("a region is unreachable: connections to it fail; one request at a time tries",
		"plane", s.Location.Plane, "region", s.Location.Region, "cause", s.LastError)
}

// searchTimeout bounds a search for a store: an unresponsive region delays the first
// client that needs it, and an answer later than this is useless.
const searchTimeout = 10 * time.Second

// makeDiscovery makes the part that searches for stores without a configured location,
// if it is turned on.
func (p *parts) makeDiscovery() (err error) {
	if p.config.Regions.Discover {
		p.discovery, err = regionmap.NewDiscovery(regionmap.DiscoveryOptions{Map: p.regions,
			Timeout: min(p.config.Upstream.Timeout, searchTimeout)})
	}
	return err
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

// allowances keeps a part of each plane's allowance for identification. It is nil if
// identification uses none of it, because OSGATE_AUTH_INTROSPECTION_URL names another
// server.
func (p *parts) allowances() proxy.Allowances {
	if p.config.Auth.Methods.Has(introspect) && p.config.Auth.IntrospectionURL.Reveal() != nil {
		return nil
	}
	return p.auth
}
