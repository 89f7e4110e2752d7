package gateway

import (
	"osgate/config"
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
		q := ratelimit.Quota{Rate: c.Limit, Period: c.Period, Burst: c.Burst,
			Algorithm: ratelimit.Algorithm(c.Algorithm)}
		if own, ok := (*p.overrides.Load())[principal]; ok {
			q.Rate = own
		}
		return q
	}
}
