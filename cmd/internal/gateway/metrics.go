package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"osgate/cache"
	"osgate/internal/conns"
	"osgate/internal/redisconn"
	"osgate/record"
	"osgate/regionmap"
	"osgate/telemetry/board"
	"osgate/telemetry/metrics"
)

// makeTelemetry makes the parts that count and show what the gateway does.
func (p *parts) makeTelemetry() (err error) {
	gauges := metrics.Gauges{
		ExchangesUnderWay: func(report func(string, int64)) { p.proxy.ExchangesByMethod(report) },
		CacheBytes:        func() int64 { return p.cache.Stats().Bytes },
		CacheEntries:      func() int64 { return int64(p.cache.Stats().Entries) },
		CacheEvents:       p.cacheEvents,
		CacheLeases:       p.cacheLeases,
	}
	if p.redis != nil {
		gauges.RedisUp = func() bool {
			s := p.redis.State()
			return s.OK && s.Denied == ""
		}
	}
	p.board = board.New(board.Gauges{
		ExchangesUnderWay: gauges.ExchangesUnderWay, RedisUp: gauges.RedisUp,
		CacheBytes: gauges.CacheBytes, CacheEntries: gauges.CacheEntries,
	})
	p.metrics, err = metrics.New(context.Background(), metrics.Options{
		Version: p.version, TLS: p.config.TLS.Cert != "", Gauges: gauges, Sources: p.sources(), Server: upstreamOf,
		Readers: p.exports.Readers(), Instance: p.exports.Instance(), Ready: p.made.Load,
		Exports: p.exports.Losses,
	})
	if err != nil {
		return err
	}
	p.close = append(p.close, func() error {
		p.exports.Close(context.Background()) // closed first, because its time is bounded
		return p.metrics.Shutdown(context.Background())
	})
	return nil
}

// upstreamOf returns the host and port to which exchanges of a surface and place are
// sent, as the region table names them.
func upstreamOf(surface record.Surface, plane, region string) (host string, port int) {
	if surface == record.SurfaceAccounts {
		return regionmap.AccountsHost(plane), 443
	}
	return regionmap.Host(regionmap.Location{Plane: plane, Region: region}), 443
}

// cacheEvents reports the numbers of the cache's events.
func (p *parts) cacheEvents(report func(event string, n int64)) {
	s := p.cache.Stats()
	for _, event := range []struct {
		name string
		n    int64
	}{
		{"fill", s.Fills}, {"eviction", s.Evictions}, {"mark", s.Marks}, {"collapsed", s.Collapsed},
		{"stale", s.Stale}, {"fallback", s.Fallbacks},
		{"shared_hit", s.SharedHits}, {"shared_miss", s.SharedMisses},
		{"shared_kept", s.Shared.Kept}, {"shared_dropped", s.Shared.Dropped},
		{"shared_unreadable", s.Shared.Unreadable + p.unreadable()},
		{"lease_widened", s.Widened}, {"lease_without_room", s.Settled},
		{"ttl_learned", s.TTLsLearned}, {"ttl_failed", s.TTLsFailed},
	} {
		report(event.name, event.n)
	}
	for outcome, n := range s.Outcomes {
		report("write_"+cache.WriteOutcome(outcome).String(), n)
	}
}

// unreadable returns how many identities and grants in Redis could not be opened,
// because no replica with this secret stored them.
func (p *parts) unreadable() (n int64) {
	if p.identities != nil {
		n += p.identities.Unreadable()
	}
	if p.grants != nil {
		n += p.grants.Unreadable()
	}
	return n
}

// cacheLeases reports the number of leases for writes that this process holds.
func (p *parts) cacheLeases(report func(state string, n int64)) {
	s := p.cache.Stats()
	report("under_way", s.Held)
	report("kept", s.Kept)
}

// CachedBytes returns the bytes of cached answers, and of answers that are being read
// for the cache. Safe for concurrent use.
func (p *parts) CachedBytes() int64 {
	s := p.cache.Stats()
	n := s.Bytes + s.UnderWay
	if p.web != nil {
		web := p.web.Stats()
		n += web.Bytes + web.UnderWay
	}
	return n
}

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
	if p.config.Auth.Methods.Broker() {
		s.Brokering, s.Refusals = p.reportBrokering, p.reportRefusals
	}
	if p.log != nil {
		s.LogLost = func() int64 { return p.log.State().Lost }
	}
	return s
}

// reportBrokering reports the parts of brokering, which are made after the metrics.
func (p *parts) reportBrokering(report func(part, name string, present bool)) {
	p.brokering.report(report)
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

func (p *parts) reportStatistics() metrics.Statistics {
	s := p.stats.Status()
	return metrics.Statistics{
		Lag: s.Lag(time.Now()), Series: int64(s.Series), Waiting: int64(s.Waiting),
		Coarsened: int64(s.Coarsened), Dropped: int64(s.Dropped), Lost: int64(s.Lost),
	}
}

func (p *parts) reportPauses(report func(event string, n int64)) {
	n := p.pauses.Counts()
	report("paused", n.Paused)
	report("waited", n.Waited)
	report("refused", n.Refused)
	report("client_left", n.Left)
}

// reportConnections reports the state and counts of the listeners.
func (p *parts) reportConnections(report func(listener string, c metrics.Connections)) {
	for _, l := range []struct {
		name string
		*conns.Listener
	}{{"clients", p.clients}, {"admin", p.admin}, {"metrics", p.scrapes}} {
		if l.Listener == nil {
			continue
		}
		n := l.Counts()
		report(l.name, metrics.Connections{
			Limit: int64(n.Limit), Idle: int64(n.Idle), Active: int64(n.Busy),
			Events: map[string]int64{
				"closed_idle": n.ClosedIdle, "closed_active": n.ClosedBusy, "refused": n.Refused,
				"accept_failed": n.Failed, "handshake_failed": n.Handshakes,
			},
		})
	}
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

func (p *parts) reportSearches(report func(result string, n int64)) {
	n := p.discovery.Counts()
	report("found", n.Found)
	report("partly", n.Partly)
	report("nowhere", n.Nowhere)
	report("ambiguous", n.Ambiguous)
	report("silent", n.Silent)
	report("busy", n.Busy)
}

func (p *parts) reportPolicy() metrics.Policy {
	s := p.policy.State()
	return metrics.Policy{Rules: int64(s.Rules), Shadow: int64(s.Shadowed), Loaded: s.Loaded, Stale: s.Err != nil}
}

func (p *parts) reportRefusals(report func(method, reason string, n int64)) {
	for _, r := range p.proxy.CredentialRefusals() {
		report(string(r.Method), r.Reason, r.Count)
	}
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
