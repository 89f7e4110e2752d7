package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"osgate/bench/load"
	"osgate/bench/report"
)

// scenario is a group of rows: subjects under the same load.
type scenario struct {
	name, title string
	kind        kind
	plan        load.Plan
	shape       shape
	connections []int
	subjects    []subject
	references  []string // names of subjects; the rates of the others are divided by theirs
	once        bool     // identities and grants last for the whole run: each cache is filled once
}

// shape is how the requests come.
type shape int

const (
	closed shape = iota // wrk: each connection waits for its answer
	bulk                // the same, with large bodies
	open                // 500 requests a second, at planned times
)

// describe returns the description of a scenario for the report.
func (sc scenario) describe() report.Scenario {
	d := report.Scenario{Name: sc.name, Title: sc.title, References: sc.references, Open: sc.shape == open}
	for _, s := range sc.subjects {
		d.Subjects = append(d.Subjects, s.name)
	}
	return d
}

// run measures a scenario: it starts all subjects, and loads one after the other in
// each round, a different one first. Nonce makes keys that no other run has.
func (sc scenario) run(ctx context.Context, c settings, nonce string) (samples []report.Sample, err error) {
	s, err := newSite(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var targets []*target
	for _, subject := range sc.subjects {
		t, err := subject.start(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", subject.name, err)
		}
		targets = append(targets, t)
	}
	for round := range c.rounds {
		for _, connections := range sc.connections {
			for i := range targets {
				turn := (i + round) % len(targets)
				l := loading{
					scenario: sc, subject: sc.subjects[turn], connections: connections, seed: round + 1,
					seconds: c.seconds, fresh: fmt.Sprintf("%s-%d-%d-%d-", nonce, turn, round, connections),
				}
				sample, err := l.sample(ctx, s, targets[turn])
				if err != nil {
					return samples, fmt.Errorf("%s: %w", l.subject.name, err)
				}
				sample.Round = round
				samples = append(samples, sample)
				progress(sample)
			}
		}
	}
	return samples, nil
}

// loading is one load of one subject.
type loading struct {
	scenario    scenario
	subject     subject
	connections int
	seed        int
	seconds     int
	fresh       string // prefix of keys that no other load has
}

// sample fills the cache of a target and measures it.
func (l loading) sample(ctx context.Context, s *site, t *target) (report.Sample, error) {
	judged, plan := l.scenario.kind, l.scenario.plan
	if l.subject.kind != same {
		judged = l.subject.kind
	}
	if l.subject.plan != nil {
		plan = *l.subject.plan
	}
	warm := plan
	switch {
	case l.scenario.kind == miss:
		plan.Fresh, warm.Each = l.fresh, 1
	case l.scenario.shape == bulk:
		warm.Store = "bench"
	}
	// A minute after the last time, the identities and grants of the tokens have ended.
	// To renew them is no part of a hit.
	if !l.scenario.once || !t.warm {
		if err := load.Warm(ctx, t.address, warm); err != nil {
			return report.Sample{}, err
		}
		t.warm = true
	}
	sample, err := s.measure(ctx, t, func(ctx context.Context) (load.Result, error) {
		return l.send(ctx, s.dir, t.address, plan)
	})
	sample.Scenario, sample.Subject, sample.Connections = l.scenario.name, l.subject.name, l.connections
	sample.Problem = judged.judge(sample)
	return sample, err
}

// send sends the requests.
func (l loading) send(ctx context.Context, dir, address string, plan load.Plan) (load.Result, error) {
	duration := time.Duration(l.seconds) * time.Second
	switch l.scenario.shape {
	case open:
		return load.Open{Rate: 500, Connections: 64, Duration: 2 * duration}.Run(ctx, address, plan, l.seed)
	case bulk:
		return load.Bulk{Connections: l.connections, Duration: duration}.Run(ctx, address, plan)
	default:
		return load.Wrk{Dir: dir, Connections: l.connections, Duration: duration}.Run(ctx, address, plan, l.seed)
	}
}

// progress writes a line for each sample, so that a long run is seen to work.
func progress(s report.Sample) {
	fmt.Fprintf(os.Stderr, "%s round %d, %d connections, %s: %.0f requests/s, p99 %.2f ms, CPU %.1f µs %s\n",
		s.Scenario, s.Round+1, s.Connections, s.Subject, s.Rate, s.P99/1e3, s.CPU, s.Problem)
}
