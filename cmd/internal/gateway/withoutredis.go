package gateway

import (
	"slices"
	"strings"

	"osgate/admin"
	"osgate/config"
	"osgate/internal/redisconn"
	"osgate/ratelimit"
)

// quotaCommands lists the commands without which no quota can be counted in Redis, and
// "keys", for a user without access to the gateway's keys.
var quotaCommands = []string{"eval", "evalsha", "get", "keys", "set", "time"}

// uncountable reports whether no quota can be counted in Redis.
func uncountable(s redisconn.State) bool {
	return !s.OK || slices.ContainsFunc(strings.Split(s.Denied, ","), func(name string) bool {
		return slices.Contains(quotaCommands, strings.TrimSpace(name))
	})
}

// unserving reports whether this replica refuses every Object Store operation, because
// it can count no quota and OSGATE_RATE_REDIS_DOWN does not let it serve without. If
// only single clients have a quota, other clients are still served.
func unserving(c config.Config, s redisconn.State) bool {
	return c.Rate.RedisDown == string(ratelimit.ModeClosed) && (c.Rate.Limit > 0 || c.Budget.Limit > 0) && uncountable(s)
}

// quotasWithoutRedis describes how quotas are handled while Redis does not answer.
func quotasWithoutRedis(c config.Rate) string {
	switch ratelimit.Mode(c.RedisDown) {
	case ratelimit.ModeOpen:
		return "not counted, every request passes (OSGATE_RATE_REDIS_DOWN=open)"
	case ratelimit.ModeClosed:
		return "not counted, requests that cost quota are refused with 503 overloaded (OSGATE_RATE_REDIS_DOWN=closed)"
	case ratelimit.ModeLocal:
	}
	return "counted in this process"
}

// redisReasons reports that Redis does not answer, and the commands that it does not
// permit.
func redisReasons(c config.Rate, s redisconn.State) (all []admin.Reason) {
	if s.Denied != "" {
		all = append(all, admin.Reason{
			Part: rightsPart,
			Detail: "Redis does not permit the user of OSGATE_REDIS_URL to run: " + s.Denied +
				"; features that need these commands work as without Redis; grant them with ACL SETUSER",
		})
	}
	if !s.OK {
		all = append(all, admin.Reason{
			Part: redisPart, Detail: "Redis does not answer: quotas are " + quotasWithoutRedis(c) + ", nothing is answered from cache, statistics wait",
		})
	}
	return all
}
