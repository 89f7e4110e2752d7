package gateway

import (
	"time"

	"osgate/config"
	"osgate/ratelimit"
)

// budget returns the limit on requests to upstream each second, over all clients, by
// the same algorithm as their quotas.
func budget(c config.Config) ratelimit.Quota {
	limit := budgetLimit(c)
	return ratelimit.Quota{Rate: limit, Period: time.Second, Burst: limit,
		Algorithm: ratelimit.Algorithm(c.Rate.Algorithm)}
}

// knownUpstreamRate is the limit of Object Store on the requests a second of one client
// application without the premium add-on (vendor page "Object Store v2 usage").
const knownUpstreamRate = 10

// budgetLimit returns the upstream requests per second over all clients. Object Store
// sees one client application if clients have no Anypoint credential: its known limit is
// the default then.
func budgetLimit(c config.Config) int {
	if c.Auth.Methods.Broker() && !c.Given("BUDGET") {
		return knownUpstreamRate
	}
	return c.Budget.Limit
}

// perSecond returns a quota of rate units a second, all of them at once after a rest.
func perSecond(rate int) ratelimit.Quota {
	return ratelimit.Quota{Rate: rate, Period: time.Second, Burst: rate}
}
