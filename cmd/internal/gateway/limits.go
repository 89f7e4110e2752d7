package gateway

import (
	"time"

	"osgate/config"
	"osgate/proxy"
	"osgate/ratelimit"
)

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

// quotas returns a function that returns the quota of a client.
func (p *parts) quotas(c config.Rate) func(principal string) ratelimit.Quota {
	return func(principal string) ratelimit.Quota {
		q := ratelimit.Quota{Rate: c.Limit, Period: c.Period, Burst: c.Burst, Algorithm: ratelimit.Algorithm(c.Algorithm)}
		if own, ok := (*p.overrides.Load())[principal]; ok {
			q.Rate = own
		}
		return q
	}
}

// perSecond returns a quota of rate units a second, all of them at once after a rest.
func perSecond(rate int) ratelimit.Quota {
	return ratelimit.Quota{Rate: rate, Period: time.Second, Burst: rate}
}

// allowances keeps a part of each plane's allowance for identification. It is nil if
// identification uses none of it, because OSGATE_AUTH_INTROSPECTION_URL names another
// server.
func (p *parts) allowances() proxy.Allowances {
	if p.config.Auth.Mode == introspect && p.config.Auth.IntrospectionURL.Reveal() != nil {
		return nil
	}
	return p.auth
}

// budget returns the limit on requests to upstream each second, over all clients, by
// the same algorithm as their quotas.
func budget(c config.Config) ratelimit.Quota {
	return ratelimit.Quota{Rate: c.Budget.Limit, Period: time.Second, Burst: c.Budget.Limit, Algorithm: ratelimit.Algorithm(c.Rate.Algorithm)}
}
