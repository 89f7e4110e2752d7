package gateway

import (
	"context"
	"slices"
	"time"

	"osgate/record"
	"osgate/telemetry/fleet"
)

// fleetPatience bounds a visit to the roster, for an operator who waits.
const fleetPatience = 2 * time.Second

// replica returns the record of this process.
func (g *Gateway) replica(now time.Time) fleet.Record {
	traffic := g.board.Snapshot(now)
	r := fleet.Record{
		ID: g.exports.Instance(), Host: g.host, Version: g.version, Status: string(g.readiness().Status),
		Start: traffic.Start, Time: now.UTC(),
	}
	var hits int64
	for _, o := range traffic.Outcomes {
		r.PerSecond += o.PerSecond
		switch o.Outcome {
		case record.OutcomeHit:
			hits = o.Window
		case record.OutcomeRefused:
			r.Refused = o.Window
		case record.OutcomeUpstreamError:
			r.Failed = o.Window
		default: // neither
		}
	}
	if lookups := traffic.Lookups.Window; lookups > 0 {
		r.HitRatio = new(min(1, float64(hits)/float64(lookups)))
	}
	return r
}

// report writes the record of this process to the roster until ctx ends, and then
// removes it. A failure needs no report of its own: Redis is a part of the page.
func (g *Gateway) report(ctx context.Context) error {
	tick := time.NewTicker(fleet.Interval)
	defer tick.Stop()
	for {
		_ = g.roster.Report(ctx, g.replica(time.Now()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			g.leave(ctx)
			return nil
		}
	}
}

// leave removes the record of this process from the roster after ctx has ended.
func (g *Gateway) leave(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), fleetPatience)
	defer cancel()
	_ = g.roster.Leave(last, g.exports.Instance())
}

// fleet returns the replicas for the operator's page. This process is always one of
// them, with its present record.
func (g *Gateway) fleet(ctx context.Context) fleet.Fleet {
	self := g.replica(time.Now())
	f := fleet.Fleet{Self: self.ID, Shared: g.roster != nil}
	if g.roster != nil {
		ctx, cancel := context.WithTimeout(ctx, fleetPatience)
		defer cancel()
		var err error
		if f.Replicas, err = g.roster.List(ctx); err != nil {
			f.Problem = "Redis does not return the records of other replicas"
		}
	}
	f.Replicas = slices.DeleteFunc(f.Replicas, func(r fleet.Record) bool { return r.ID == self.ID })
	f.Replicas = append(f.Replicas, self)
	fleet.Sort(f.Replicas)
	return f
}
