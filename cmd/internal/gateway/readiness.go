package gateway

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"osgate/admin"
	"osgate/config"
	"osgate/internal/conns"
	"osgate/internal/redisconn"
	"osgate/ratelimit"
	"osgate/stats"
	"osgate/telemetry/logwriter"
)

// readiness returns whether the gateway can serve, and the features that do not work.
// An unavailable part makes the gateway degraded, not unready: otherwise every replica
// would be unready at once. The exception is a gateway that is configured to refuse
// everything without Redis.
func (g *Gateway) readiness() admin.Readiness {
	switch g.phase.Load() {
	case phaseStarting:
		return admin.Readiness{Status: admin.Starting}
	case phaseDraining:
		return admin.Readiness{Status: admin.Draining}
	}
	r := admin.Readiness{Status: admin.Ready}
	if g.withdrawn.Load() {
		return admin.Readiness{Status: admin.Draining, Reasons: []admin.Reason{{
			Part:   operatorPart,
			Detail: "an operator has withdrawn this replica; requests that arrive are served until it is put back",
		}}}
	}
	if g.redis != nil {
		r.Reasons = append(r.Reasons, redisReasons(g.config.Rate, g.redis.State())...)
	}
	for _, plane := range g.auth.Planes() {
		if !plane.OK {
			r.Reasons = append(r.Reasons, admin.Reason{
				Part:   planePart + plane.Plane,
				Detail: "it does not identify tokens: known ones are forwarded for OSGATE_AUTH_STALE, unknown ones are refused (503 identity-unavailable)",
			})
		}
	}
	for _, region := range g.proxy.RegionStates() {
		if !region.OK {
			r.Reasons = append(r.Reasons, admin.Reason{
				Part:   regionPart + region.Location.String(),
				Detail: "connections to it fail: one request at a time tries, the others get 502 upstream-unreachable at once",
			})
		}
	}
	s := g.stats.Status()
	if reason, ok := statisticsReason(s, g.losses.recent(s, time.Now())); ok {
		r.Reasons = append(r.Reasons, reason)
	}
	if s := g.policy.State(); s.Err != nil {
		since, loaded := s.Since.UTC().Format(time.RFC3339), s.Loaded.UTC().Format(time.RFC3339)
		r.Reasons = append(r.Reasons, admin.Reason{
			Part: policyPart,
			Detail: "the rules files as of " + since + " are invalid, see the log; the rules of " + loaded +
				" stay in force",
		})
	}
	r.Reasons = append(r.Reasons, g.files.reasons()...)
	r.Reasons = append(r.Reasons, g.brokering.reasons(time.Now())...)
	r.Reasons = append(r.Reasons, g.auditReasons(time.Now())...)
	if g.log != nil {
		if reason, ok := logReason(g.log.State(), time.Now()); ok {
			r.Reasons = append(r.Reasons, reason)
		}
	}
	r.Reasons = append(r.Reasons, connectionsReasons(g.clients.State(), g.clients.Counts())...)
	if len(r.Reasons) > 0 {
		r.Status = admin.Degraded
	}
	if g.redis != nil && unserving(g.config, g.redis.State()) {
		r.Status = admin.Unready
	}
	return r
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
			Part: redisPart,
			Detail: "Redis does not answer: quotas are " + quotasWithoutRedis(c) +
				", nothing is answered from cache, statistics wait",
		})
	}
	return all
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

// statisticsReason returns why counts are late, less exact than they should be, or
// lost; ok is false if none of this is so.
func statisticsReason(s stats.Status, losing bool) (r admin.Reason, ok bool) {
	var problems []string
	if s.Err != nil {
		problems = append(problems,
			"counts cannot be stored since "+s.Down.UTC().Format(time.RFC3339)+"; they wait in memory")
	}
	if losing && s.Lost > 0 {
		problems = append(problems, "a statistics file was damaged or replaced while it was in use: "+
			strconv.FormatUint(s.Lost, 10)+" operations are no longer counted")
	}
	if losing && (s.Lost == 0 || s.Coarsened+s.Dropped > 0) {
		problems = append(problems, "there are more places at a time than can be counted: exchanges are counted without their store, or not at all")
	}
	return admin.Reason{Part: statisticsPart, Detail: strings.Join(problems, "; ")}, len(problems) > 0
}

// losses records when exchanges were last seen to be counted less exactly than they
// should be, or not at all. The zero value is the state at the start. It is safe for
// concurrent use.
type losses struct {
	mu   sync.Mutex // guards the fields below
	seen uint64     // at the last call
	grew time.Time  // the last call that saw more losses than the call before; zero: none has
}

// recent reports whether s has more losses than at the last call, or a call within the
// last minute found more. Probes call it all the time; after a longer pause, all losses
// of the pause count as recent.
func (l *losses) recent(s stats.Status, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lost := s.Coarsened + s.Dropped + s.Lost; lost > l.seen {
		l.seen, l.grew = lost, now
	}
	return !l.grew.IsZero() && now.Sub(l.grew) < time.Minute
}

// auditReasons returns why the audit file may lack lines.
func (p *parts) auditReasons(now time.Time) (all []admin.Reason) {
	if p.audit == nil {
		return nil
	}
	if detail := p.audit.Stats().Degraded(now); detail != "" {
		all = append(all, admin.Reason{Part: auditPart, Detail: detail})
	}
	return all
}

// logReason reports that lines of the log wait for a reader, or were lost within the
// last minute; ok is false if neither is so.
func logReason(s logwriter.State, now time.Time) (r admin.Reason, ok bool) {
	var problems []string
	if !s.Unread.IsZero() {
		problems = append(problems, "the log has not been read since "+s.Unread.UTC().Format(time.RFC3339)+
			"; lines wait in memory while there is room")
	}
	if !s.Last.IsZero() && now.Sub(s.Last) < time.Minute {
		problems = append(problems, "lines could not be written within the last minute and are lost, "+
			strconv.FormatInt(s.Lost, 10)+" of them since the start")
	}
	return admin.Reason{Part: logPart, Detail: strings.Join(problems, "; ")}, len(problems) > 0
}

// connectionsReasons returns the problems with the clients' connections.
func connectionsReasons(s conns.State, n conns.Counts) (reasons []admin.Reason) {
	if s.Full {
		reasons = append(reasons, admin.Reason{Part: connsPart, Detail: fmt.Sprintf(
			"all %d connections were in use within the last 10 seconds: idle ones are closed for new ones; new ones are refused where none is idle", n.Limit)})
	}
	if s.Failing {
		reasons = append(reasons, admin.Reason{
			Part: connsPart, Detail: "new connections cannot be accepted: " + s.Cause,
		})
	}
	return reasons
}

// unserving reports whether this replica refuses every Object Store operation, because
// it can count no quota and OSGATE_RATE_REDIS_DOWN does not let it serve without. If
// only single clients have a quota, other clients are still served.
func unserving(c config.Config, s redisconn.State) bool {
	return c.Rate.RedisDown == string(ratelimit.ModeClosed) &&
		(c.Rate.Limit > 0 || budgetLimit(c) > 0) && uncountable(s)
}

// uncountable reports whether no quota can be counted in Redis.
func uncountable(s redisconn.State) bool {
	return !s.OK || slices.ContainsFunc(strings.Split(s.Denied, ","), func(name string) bool {
		return slices.Contains(quotaCommands, strings.TrimSpace(name))
	})
}

// quotaCommands lists the commands without which no quota can be counted in Redis, and
// "keys", for a user without access to the gateway's keys.
var quotaCommands = []string{"eval", "evalsha", "get", "keys", "set", "time"}
