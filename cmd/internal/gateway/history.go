package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"osgate/admin"
	"osgate/objectstore"
	"osgate/stats"
)

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
	return g.histories.of(ctx, asked, func(ctx context.Context) (admin.History, error) { return readHistory(ctx, g.stats, asked) })
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
		h.Children = append(h.Children, admin.Child{Plane: cmp.Or(c.Plane, q.Plane), Name: c.Name, Sums: admin.Sums(c.HistoryCounts)})
	}
	return h, nil
}
