package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"osgate/admin"
	"osgate/cache"
	"osgate/config"
	"osgate/internal/redisconn"
	"osgate/objectstore"
	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
	"osgate/stats"
	"osgate/telemetry/board"
	"osgate/telemetry/logwriter"
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

// cacheLeases reports the number of leases for writes that this process holds.
func (p *parts) cacheLeases(report func(state string, n int64)) {
	s := p.cache.Stats()
	report("under_way", s.Held)
	report("kept", s.Kept)
}

// clientHolds logs that a client makes reads bypass the cache.
func (p *parts) clientHolds(h cache.Holding) {
	p.logger.Warn("a client keeps reads past the cache",
		"client", h.Client, "location", h.Location, "store", h.Store, "why", h.Why,
		"leases", h.Leases, "until", h.Until.UTC().Format(time.RFC3339))
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

// upstreamOf returns the host and port to which exchanges of a surface and place are
// sent, as the region table names them.
func upstreamOf(surface record.Surface, plane, region string) (host string, port int) {
	if surface == record.SurfaceAccounts {
		return regionmap.AccountsHost(plane), 443
	}
	return regionmap.Host(regionmap.Location{Plane: plane, Region: region}), 443
}

// adminServer returns the server of the admin listener.
func (g *Gateway) adminServer() (*http.Server, error) {
	c, done := g.config, make(chan struct{})
	handler, err := admin.New(admin.Options{
		Token: admin.Token(c.Admin.Token.Reveal()), Loopback: c.Admin.Listen.Loopback(),
		Version: g.version, Start: time.Now(),
		Readiness:  g.readiness,
		Overview:   g.overview,
		Recent:     func(now time.Time, back time.Duration) any { return g.board.Recent(now, back) },
		History:    g.history,
		Details:    details{g},
		Operations: operations{g},
		Fleet:      func(ctx context.Context) any { return g.fleet(ctx) },
		Replica:    admin.Replica{ID: g.exports.Instance(), Host: g.host},
		Done:       done,
		Settings:   func() any { return g.files.table() },
		Metrics:    g.metrics.Handler(),
		Purge:      g.purge,
		Acted:      g.acted,
		Refused:    g.adminTries.refused,
		Logger:     g.logger,
	})
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: writeByteTimeout},
		ErrorLog: slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}
	g.admin.Attach(server)
	server.RegisterOnShutdown(sync.OnceFunc(func() { close(done) }))
	return server, nil
}

// adminTimeout bounds an exchange with an operator.
const adminTimeout = 30 * time.Second

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

// purge deletes cached answers for an operator.
func (g *Gateway) purge(ctx context.Context, p admin.PurgeRequest) (int, error) {
	return g.cache.Purge(ctx, cache.PurgeTarget{
		All: p.All, Location: p.Location,
		Ref: objectstore.Ref{
			Organization: p.Organization, Environment: p.Environment, Store: p.Store,
			Partition: p.Partition, Key: objectstore.CanonicalKey(p.Key),
		},
	})
}

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
	return c.Rate.RedisDown == string(ratelimit.ModeClosed) &&
		(c.Rate.Limit > 0 || budgetLimit(c) > 0) && uncountable(s)
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
			Part: redisPart,
			Detail: "Redis does not answer: quotas are " + quotasWithoutRedis(c) +
				", nothing is answered from cache, statistics wait",
		})
	}
	return all
}

// history returns a history for the operator's page from the statistics.
func (g *Gateway) history(ctx context.Context, q admin.HistoryQuery) (admin.History, error) {
	period, ok := stats.ParsePeriod(q.Period)
	if !ok {
		return admin.History{}, &admin.InputError{Field: "period", Detail: "must be 1hour, 1day or 1month"}
	}
	asked := stats.HistoryQuery{
		Plane: q.Plane, Organization: q.Organization, Environment: q.Environment, Region: q.Region, Store: q.Store,
		Period: period, From: q.From, To: q.To,
	}
	h, err := g.histories.of(ctx, asked, func(ctx context.Context) (admin.History, error) {
		return readHistory(ctx, g.stats, asked)
	})
	h.Names = g.named(func(yield func(id string) bool) {
		for _, child := range h.Children {
			if !yield(child.Name) {
				return
			}
		}
		_ = yield(q.Organization) && yield(q.Environment)
	})
	return h, err
}

// readHistory reads a history from the statistics and converts it to the page's types.
func readHistory(ctx context.Context, counter *stats.Counter, q stats.HistoryQuery) (admin.History, error) {
	said, err := counter.History(ctx, q, time.Now())
	if e, ok := errors.AsType[*objectstore.QueryError](err); ok {
		return admin.History{}, &admin.InputError{Field: e.Parameter, Detail: e.Reason}
	}
	if err != nil {
		return admin.History{}, fmt.Errorf("reading the statistics: %w", err)
	}
	h := admin.History{Truncated: said.Truncated}
	for _, b := range said.Buckets {
		h.Buckets = append(h.Buckets, admin.Bucket{Time: b.Time, Sums: admin.Sums(b.HistoryCounts)})
	}
	for _, c := range said.Children {
		h.Children = append(h.Children, admin.Child{
			Plane: cmp.Or(c.Plane, q.Plane), Name: c.Name, Sums: admin.Sums(c.HistoryCounts),
		})
	}
	return h, nil
}
