package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"osgate/admin"
	"osgate/audit"
	"osgate/cache"
	"osgate/internal/conns"
	"osgate/objectstore"
	"osgate/stats"
)

// observer is a server for operators, probes or scrapers. It serves from the start of
// the listeners to the end of the drain.
type observer struct {
	*http.Server
	listener *conns.Listener
}

// observerServers returns the servers of the admin listener and, if there is one, of
// the metrics listener.
func (g *Gateway) observerServers() ([]observer, error) {
	operators, err := g.adminServer()
	if err != nil {
		return nil, err
	}
	all := []observer{{operators, g.admin}}
	if g.scrapes != nil {
		all = append(all, observer{g.metricsServer(), g.scrapes})
	}
	return all, nil
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

// acted adds a line about an action of an operator.
func (p *parts) acted(a admin.Action) {
	if p.audit == nil {
		return
	}
	line := audit.Action{Time: time.Now(), Name: a.Name, Actor: "loopback", RemoteAddr: a.RemoteAddr, Status: a.Status}
	if p.config.Admin.Token.Reveal() != "" {
		line.Actor = "token"
	}
	for _, parameter := range a.Parameters {
		line.Parameters = append(line.Parameters, audit.Parameter{Name: parameter.Key, Value: parameter.Value.String()})
	}
	p.audit.Act(line)
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

// metricsServer returns the server of the metrics listener.
func (g *Gateway) metricsServer() *http.Server {
	server := &http.Server{
		Handler: admin.NewProbes(admin.ProbesOptions{
			Loopback: g.config.Metrics.Loopback(), Readiness: g.readiness,
			Metrics: g.metrics.Handler(), Logger: g.logger,
		}),
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is 404 as any other path
		ReadHeaderTimeout:            readHeaderTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}
	g.scrapes.Attach(server)
	return server
}
