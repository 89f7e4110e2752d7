package gateway

import (
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/internal/redisconn"
	"osgate/telemetry/metrics"
)

// The names of the connections to Redis in metrics. Bodies and statistics have a
// connection of their own each, so that they never delay quotas.
const (
	mainConnection   = "main"
	bodiesConnection = "bodies"
	countsConnection = "statistics"
)

// sources returns the values that metrics read from the parts at each scrape. The parts
// are made after the metrics, and before the first scrape.
func (p *parts) sources() metrics.Sources {
	s := metrics.Sources{
		Identities: p.reportIdentities, Planes: p.reportPlanes, Regions: p.reportRegions,
		Statistics: p.reportStatistics, Pauses: p.reportPauses,
		Connections: p.reportConnections, Slots: p.slots,
	}
	if p.redis != nil {
		s.Redis = p.reportRedis
	}
	s.Calls, s.AdminTries = p.reportCalls, p.adminTries.report
	if p.config.Regions.Discover {
		s.Searches = p.reportSearches
	}
	if p.config.Policy.Path != "" {
		s.Policy = p.reportPolicy
	}
	if p.brokering != nil {
		s.Brokering, s.Refusals = p.brokering.report, p.reportRefusals
	}
	if p.log != nil {
		s.LogLost = func() int64 { return p.log.State().Lost }
	}
	return s
}

// tripped returns a function that records a round trip over a connection to Redis.
func (p *parts) tripped(connection string) func(redisconn.RoundTrip) {
	return func(t redisconn.RoundTrip) {
		if p.metrics == nil { // the parts are still being made
			return
		}
		p.metrics.RoundTrip(connection, t.Kind, t.Failure, t.Took)
		// The duration of other failures does not describe Redis.
		if connection == mainConnection && (t.Failure == "" || t.Failure == "timeout") {
			p.trips.Add(t.Took)
		}
	}
}

// asked records a call to a control plane.
func (p *parts) asked(q auth.Lookup) {
	p.metrics.ControlPlaneCall(q.Plane, q.Result, q.Took)
	p.planeLatencies.of(q.Plane).Add(q.Took)
}

func (p *parts) reportIdentities(report func(result string, n int64)) {
	n := p.auth.Counts()
	report("known", n.Known)
	report("shared", n.Shared)
	report("asked", n.Asked)
	report("stale", n.Stale)
	report("refused", n.Refused)
	report("unavailable", n.Unavailable)
	report("guessing", n.Guessing)
	report("client_left", n.Left)
}

func (p *parts) reportPlanes(report func(plane, breaker string)) {
	for _, s := range p.auth.Planes() {
		report(s.Plane, s.Breaker)
	}
}

func (p *parts) reportRegions(report func(plane, region, breaker string)) {
	for _, s := range p.proxy.RegionStates() {
		report(s.Location.Plane, s.Location.Region, s.Breaker)
	}
}

func (p *parts) reportRedis(report func(connection string, r metrics.Redis)) {
	report(mainConnection, connectionOf(p.redis))
	if p.shared != nil {
		report(bodiesConnection, connectionOf(p.shared))
	}
	report(countsConnection, connectionOf(p.counts))
}

func connectionOf(c *redisconn.Conn) metrics.Redis {
	n := c.Counts()
	return metrics.Redis{
		Breaker: c.State().Breaker, Open: n.Open, Idle: n.Idle, TimedOut: n.TimedOut, Skipped: n.Skipped,
		Reused: n.Reused, Dialed: n.Dialed, Stale: n.Stale,
	}
}

func (p *parts) reportStatistics() metrics.Statistics {
	s := p.stats.Status()
	return metrics.Statistics{
		Lag: s.Lag(time.Now()), Series: int64(s.Series), Waiting: int64(s.Waiting),
		Coarsened: int64(s.Coarsened), Dropped: int64(s.Dropped), Lost: int64(s.Lost),
	}
}

func (p *parts) reportSearches(report func(result string, n int64)) {
	n := p.discovery.Counts()
	report("found", n.Found)
	report("partly", n.Partly)
	report("nowhere", n.Nowhere)
	report("ambiguous", n.Ambiguous)
	report("silent", n.Silent)
	report("busy", n.Busy)
}

func (p *parts) reportCalls(report func(decision string, n int64)) {
	n := p.proxy.CallCounts()
	report("passed", n.Passed)
	report("over_token", n.Token)
	report("over_address", n.Address)
	report("reserved", n.Reserved)
	report("guessing", n.Guessing)
	report("failed", n.Failed)
}

// adminTries counts wrong tokens at the admin listener. The zero value is ready to use.
// It is safe for concurrent use.
type adminTries struct{ wrong, tooMany atomic.Int64 }

func (a *adminTries) refused(tooMany bool) {
	if tooMany {
		a.tooMany.Add(1)
		return
	}
	a.wrong.Add(1)
}

func (a *adminTries) report(report func(refusal string, n int64)) {
	report("wrong_token", a.wrong.Load())
	report("too_many", a.tooMany.Load())
}

func (p *parts) reportRefusals(report func(method, reason string, n int64)) {
	for _, r := range p.proxy.CredentialRefusals() {
		report(string(r.Method), r.Reason, r.Count)
	}
}

func (p *parts) reportPauses(report func(event string, n int64)) {
	n := p.pauses.Counts()
	report("paused", n.Paused)
	report("waited", n.Waited)
	report("refused", n.Refused)
	report("client_left", n.Left)
}

func (p *parts) slots() metrics.Slots {
	l := p.proxy.Load()
	return metrics.Slots{
		Identified: l.Identified, Unidentified: l.Unidentified, Refused: l.Refused,
		Limit: l.Limit, UnidentifiedLimit: l.UnidentifiedLimit, RefusedLimit: l.RefusedLimit,
		ShortOfAll: l.ShortOfAll, ShortOfUnidentified: l.ShortOfUnidentified,
		ShortOfAddress: l.ShortOfAddress, ShortOfRefused: l.ShortOfRefused,
	}
}

func (p *parts) reportPolicy() metrics.Policy {
	s := p.policy.State()
	return metrics.Policy{Rules: int64(s.Rules), Shadow: int64(s.Shadowed), Loaded: s.Loaded, Stale: s.Err != nil}
}
