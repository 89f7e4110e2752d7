package gateway

import (
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/internal/redisconn"
	"osgate/telemetry"
)

// The connections to Redis by their names in metrics: bodies and statistics have one of their own each, so that they never delay quotas.
const (
	mainConnection   = "main"
	bodiesConnection = "bodies"
	countsConnection = "statistics"
)

// sources are what metrics read of the parts at each scrape. The parts are made after the metrics, and before anybody scrapes.
func (p *parts) sources() telemetry.Sources {
	s := telemetry.Sources{
		Identities: p.tellIdentities, Planes: p.tellPlanes, Regions: p.tellRegions, Statistics: p.tellStatistics, Pauses: p.tellPauses,
		Connections: p.tellConnections, Slots: p.slots,
	}
	if p.redis != nil {
		s.Redis = p.tellRedis
	}
	s.Calls, s.AdminTries = p.tellCalls, p.adminTries.tell
	if p.config.Regions.Discover {
		s.Searches = p.tellSearches
	}
	if p.config.Policy.Path != "" {
		s.Policy = p.tellPolicy
	}
	if p.log != nil {
		s.Log = p.log.State
	}
	return s
}

// tripped takes note of a round trip over a connection to Redis.
func (p *parts) tripped(connection string) func(redisconn.RoundTrip) {
	return func(t redisconn.RoundTrip) {
		if p.metrics == nil { // the parts are still being made
			return
		}
		p.metrics.RoundTrip(connection, t.Kind, t.Failure, t.Took)
		if connection == mainConnection && (t.Failure == "" || t.Failure == "timeout") { // the duration of other failures is not Redis's
			p.trips.Add(t.Took)
		}
	}
}

// asked takes note of an asking of a control plane.
func (p *parts) asked(q auth.Lookup) {
	p.metrics.ControlPlaneCall(q.Plane, q.Result, q.Took)
	p.askings.of(q.Plane).Add(q.Took)
}

func (p *parts) tellIdentities(tell func(result string, n int64)) {
	n := p.auth.Counts()
	tell("known", n.Known)
	tell("shared", n.Shared)
	tell("asked", n.Asked)
	tell("stale", n.Stale)
	tell("refused", n.Refused)
	tell("unavailable", n.Unavailable)
	tell("guessing", n.Guessing)
	tell("client_left", n.Left)
}

func (p *parts) tellPlanes(tell func(plane, breaker string)) {
	for _, s := range p.auth.Planes() {
		tell(s.Plane, s.Breaker)
	}
}

func (p *parts) tellRegions(tell func(plane, region, breaker string)) {
	for _, s := range p.proxy.RegionStates() {
		tell(s.Location.Plane, s.Location.Region, s.Breaker)
	}
}

func (p *parts) tellRedis(tell func(connection string, r telemetry.Redis)) {
	tell(mainConnection, connectionOf(p.redis))
	if p.shared != nil {
		tell(bodiesConnection, connectionOf(p.shared))
	}
	tell(countsConnection, connectionOf(p.counts))
}

func connectionOf(c *redisconn.Conn) telemetry.Redis {
	n := c.Counts()
	return telemetry.Redis{
		Breaker: c.State().Breaker, Open: n.Open, Idle: n.Idle, TimedOut: n.TimedOut, Skipped: n.Skipped,
		Reused: n.Reused, Dialed: n.Dialed, Stale: n.Stale,
	}
}

func (p *parts) tellStatistics() telemetry.Statistics {
	s := p.stats.Status()
	return telemetry.Statistics{
		Lag: s.Lag(time.Now()), Series: int64(s.Series), Waiting: int64(s.Waiting),
		Coarsened: int64(s.Coarsened), Dropped: int64(s.Dropped), Lost: int64(s.Lost),
	}
}

func (p *parts) tellSearches(tell func(result string, n int64)) {
	n := p.discovery.Counts()
	tell("found", n.Found)
	tell("partly", n.Partly)
	tell("nowhere", n.Nowhere)
	tell("ambiguous", n.Ambiguous)
	tell("silent", n.Silent)
	tell("busy", n.Busy)
}

func (p *parts) tellCalls(tell func(decision string, n int64)) {
	n := p.proxy.CallCounts()
	tell("passed", n.Passed)
	tell("over_token", n.Token)
	tell("over_address", n.Address)
	tell("reserved", n.Reserved)
	tell("guessing", n.Guessing)
	tell("failed", n.Failed)
}

// adminTries counts wrong tokens at the admin listener. The zero value is that of a start.
// It is safe for concurrent use.
type adminTries struct{ wrong, tooMany atomic.Int64 }

func (a *adminTries) refused(tooMany bool) {
	if tooMany {
		a.tooMany.Add(1)
		return
	}
	a.wrong.Add(1)
}

func (a *adminTries) tell(tell func(refusal string, n int64)) {
	tell("wrong_token", a.wrong.Load())
	tell("too_many", a.tooMany.Load())
}

func (p *parts) tellPauses(tell func(event string, n int64)) {
	n := p.pauses.Counts()
	tell("paused", n.Paused)
	tell("waited", n.Waited)
	tell("refused", n.Refused)
	tell("client_left", n.Left)
}

func (p *parts) slots() telemetry.Slots {
	l := p.proxy.Load()
	return telemetry.Slots{
		Identified: l.Identified, Unidentified: l.Unidentified, Refused: l.Refused,
		Limit: l.Limit, UnidentifiedLimit: l.UnidentifiedLimit, RefusedLimit: l.RefusedLimit,
		ShortOfAll: l.ShortOfAll, ShortOfUnidentified: l.ShortOfUnidentified, ShortOfAddress: l.ShortOfAddress, ShortOfRefused: l.ShortOfRefused,
	}
}

func (p *parts) tellPolicy() telemetry.Policy {
	s := p.policy.State()
	return telemetry.Policy{Rules: int64(s.Rules), Shadow: int64(s.Shadowed), Loaded: s.Loaded, Stale: s.Err != nil}
}
