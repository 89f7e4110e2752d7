package gateway

import (
	"fmt"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/config"
	"osgate/internal/conns"
	"osgate/internal/redisconn"
	"osgate/plaincache"
	"osgate/proxy"
)

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
	p.plain, err = proxy.NewPlain(proxy.PlainOptions{
		Origin: c.Upstream.Override.Reveal(), Cache: p.web, Transport: transport.Shared,
		Ambiguous: conns.Ambiguous,
	})
	return err
}
