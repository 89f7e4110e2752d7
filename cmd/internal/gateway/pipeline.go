package gateway

import (
	"fmt"
	"time"

	"osgate/auth"
	"osgate/config"
	"osgate/internal/conns"
	"osgate/internal/watch"
	"osgate/plaincache"
	"osgate/policy"
	"osgate/proxy"
	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
)

// makePipeline makes the proxy, which serves requests, and the parts that only it uses.
func (p *parts) makePipeline(o Options, transport proxy.Transport) (err error) {
	c := p.config
	limiter := p.counting(ratelimit.Mode(c.Rate.RedisDown))
	each := p.counting(ratelimit.ModeLocal) // for limits per second; without Redis the share of this replica
	guesses := ratelimit.NewFailures(each, perSecond(c.Auth.FailureRate))
	for _, part := range []func() error{
		func() error { return p.makeIdentity(transport, guesses) },
		func() error { return p.makeBrokering(transport, guesses) }, p.makeDiscovery,
		func() error { return p.makePlain(transport) }, func() error { return p.makePolicy(transport) },
	} {
		if err = part(); err != nil {
			return err
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
	return err
}

// counting returns a limiter that counts in Redis, with a fallback, or in the process.
func (p *parts) counting(without ratelimit.Mode) ratelimit.Limiter {
	local := ratelimit.NewLocal(ratelimit.LocalOptions{})
	if p.redis == nil {
		return local
	}
	return ratelimit.NewFailover(ratelimit.FailoverOptions{
		Primary: ratelimit.NewRedis(p.redis), Fallback: local, Mode: without, Replicas: p.config.Rate.Replicas,
	})
}

// perSecond returns a quota of rate units a second, all of them at once after a rest.
func perSecond(rate int) ratelimit.Quota {
	return ratelimit.Quota{Rate: rate, Period: time.Second, Burst: rate}
}

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

// introspect is the value of OSGATE_AUTH for validation by RFC 7662.
const introspect = "introspect"

// asked records a call to a control plane.
func (p *parts) asked(q auth.Lookup) {
	p.metrics.ControlPlaneCall(q.Plane, q.Result, q.Took)
	p.planeLatencies.of(q.Plane).Add(q.Took)
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

// makeDiscovery makes the part that searches for stores without a configured location,
// if it is turned on.
func (p *parts) makeDiscovery() (err error) {
	if p.config.Regions.Discover {
		p.discovery, err = regionmap.NewDiscovery(regionmap.DiscoveryOptions{Map: p.regions,
			Timeout: min(p.config.Upstream.Timeout, searchTimeout)})
	}
	return err
}

// searchTimeout bounds a search for a store: an unresponsive region delays the first
// client that needs it, and an answer later than this is useless.
const searchTimeout = 10 * time.Second

// makePlain makes the plain HTTP cache that replaces the gateway with
// OSGATE_CACHE_MODE=rfc9111.
func (p *parts) makePlain(transport proxy.Transport) (err error) {
	c := p.config
	if c.Cache.Mode != plainMode {
		return nil
	}
	if p.web, err = plaincache.New(plaincache.Options{
		Bytes: int64(c.Cache.Bytes), EntryBytes: int64(min(c.Cache.EntryBytes, c.Cache.Bytes)),
	}); err != nil {
		return fmt.Errorf("making the plain cache: %w", err)
	}
	p.plain, err = plaincache.NewServer(plaincache.ServerOptions{
		Origin: c.Upstream.Override.Reveal(), Cache: p.web, Transport: transport.Shared,
		Ambiguous: conns.Ambiguous,
	})
	return err
}

// plainMode is the value of OSGATE_CACHE_MODE that serves public test suites.
const plainMode = "rfc9111"

// makePolicy makes the part that applies the organization's rules, and the one that
// returns the types of environments.
func (p *parts) makePolicy(transport proxy.Transport) (err error) {
	p.environments, err = auth.NewEnvironmentTypes(auth.EnvironmentTypesOptions{
		Lister: &auth.Anypoint{
			Transport: transport.Shared, Endpoint: Endpoint(p.config), OnAnswer: p.auth.NoteAllowance,
			Names: p.names,
		},
	})
	if err != nil || p.config.Policy.Path == "" {
		p.policy = &policy.Policy{}
		return err
	}
	o := policyOptions(p.config.Policy)
	o.OnChange, o.Rest = p.policyChanged, watch.Rest
	p.policy, err = policy.Load(o)
	return err //nolint:wrapcheck // the error names file, line and column
}

// policyChanged logs one line for a change of the rules.
func (p *parts) policyChanged(s policy.State) {
	if s.Err != nil {
		p.logger.Error("the policy cannot be read; the rules in force stay",
			"rules", s.Rules, "loaded", s.Loaded, "cause", s.Err.Error())
		return
	}
	p.logger.Info("policy", "files", s.Files, "rules", s.Rules, "shadowed", s.Shadowed, "hash", s.Hash)
}

// tokenMethodOf returns how Anypoint tokens are validated.
func tokenMethodOf(c config.Config) auth.Method {
	if c.Auth.Methods.Has(introspect) {
		return auth.ByIntrospect
	}
	return auth.ByAnypoint
}

// forProxy returns b for the proxy.
func (b *brokering) forProxy(c config.Config) *proxy.Brokering {
	if b == nil {
		return nil
	}
	o := &proxy.Brokering{Broker: b.identifier, Tokens: b.tokens, ClientID: c.Upstream.ClientID}
	if b.certificates != nil {
		o.Certificate = b.certificates.Credential
	}
	if b.issuers != nil {
		o.Contains = b.issuers.Contains
	}
	return o
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

// keepers returns the parts that record finished exchanges.
func (p *parts) keepers(o Options) record.Keepers {
	all := record.Keepers{p.stats, p.metrics, p.board}
	if p.traces != nil {
		all = append(all, p.traces)
	}
	if p.audit != nil {
		all = append(all, p.audit)
	}
	access := record.AccessLogOptions{
		Logger: o.Logger, Shares: p.config.Log.Sample,
		Exported: p.exports.Exporter(o.Logger), Exports: p.exports.ExportsLine,
	}
	if o.Log != nil && p.config.Log.Format == "json" {
		access.Lines = o.Log
	}
	return append(all, record.NewAccessLog(access))
}

// tracing returns the function with which the proxy adds exchanges to traces, nil if
// traces are off.
func (p *parts) tracing() func(parent record.Trace, trusted bool) record.Trace {
	if p.traces == nil {
		return nil
	}
	return p.traces.Begin
}

// quotas returns a function that returns the quota of a client.
func (p *parts) quotas(c config.Rate) func(principal string) ratelimit.Quota {
	return func(principal string) ratelimit.Quota {
		q := ratelimit.Quota{Rate: c.Limit, Period: c.Period, Burst: c.Burst,
			Algorithm: ratelimit.Algorithm(c.Algorithm)}
		if own, ok := (*p.overrides.Load())[principal]; ok {
			q.Rate = own
		}
		return q
	}
}

// countUpstream is the value of OSGATE_RATE_COUNTS with which hits cost no quota.
const countUpstream = "upstream"

// budget returns the limit on requests to upstream each second, over all clients, by
// the same algorithm as their quotas.
func budget(c config.Config) ratelimit.Quota {
	limit := budgetLimit(c)
	return ratelimit.Quota{Rate: limit, Period: time.Second, Burst: limit,
		Algorithm: ratelimit.Algorithm(c.Rate.Algorithm)}
}

// budgetLimit returns the upstream requests per second over all clients. Object Store
// sees one client application if clients have no Anypoint credential: its known limit is
// the default then.
func budgetLimit(c config.Config) int {
	if c.Auth.Methods.Broker() && !c.Given("BUDGET") {
		return knownUpstreamRate
	}
	return c.Budget.Limit
}

// knownUpstreamRate is the limit of Object Store on the requests a second of one client
// application without the premium add-on (vendor page "Object Store v2 usage").
const knownUpstreamRate = 10

// environmentScope is the value of OSGATE_CACHE_SCOPE with which principals share
// entries.
const environmentScope = "environment"

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
