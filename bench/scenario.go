package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"osgate/bench/load"
	"osgate/bench/report"
)

// scenario is a group of rows: subjects under the same load.
type scenario struct {
	name, title string
	kind        kind
	plan        load.Plan
	connections []int
	subjects    []subject
	references  []string // names of subjects whose rate the others are divided by
}

// settings are what the command line chooses.
type settings struct {
	rounds, seconds int
	connections     []int
	osgate, base    string // binaries; base may be ""
}

// mule is the load of most scenarios: what many Mule apps send.
func mule() load.Plan { return load.Plan{Store: "bench", Clients: 1000, Each: 5} }

// scenarios returns all scenarios.
func scenarios(c settings) []scenario {
	gateway := func(o gatewayOptions) []subject { return c.gateways("osgate", o) }
	all := []scenario{{
		name: "hit-redis", title: "Cached GET, with Redis", kind: hit, plan: mule(), connections: c.connections,
		subjects:   slices.Concat([]subject{nginxSubject(false, plenty())}, gateway(gatewayOptions{quota: plenty()})),
		references: []string{"nginx + Lua"},
	}, {
		name: "miss-redis", title: "Miss, with Redis", kind: miss, plan: mule(), connections: c.connections,
		subjects: slices.Concat([]subject{nginxSubject(false, plenty()), proxySubject(false)},
			gateway(gatewayOptions{quota: plenty()})),
		references: []string{"nginx + Lua", "bare ReverseProxy"},
	}, {
		name: "hit-embedded", title: "Cached GET, embedded", kind: hit, plan: mule(), connections: c.connections,
		subjects:   slices.Concat([]subject{bareSubject()}, gateway(gatewayOptions{embedded: true, quota: plenty()})),
		references: []string{"bare handler"},
	}}
	return all
}

// gateways returns one subject, or two if there is a base binary: before and after.
func (c settings) gateways(name string, o gatewayOptions) []subject {
	if c.base == "" {
		return []subject{gatewaySubject(name, c.osgate, o)}
	}
	return []subject{gatewaySubject(name+" before", c.base, o), gatewaySubject(name+" after", c.osgate, o)}
}

// run measures a scenario: it starts all subjects, and loads one after the other in each
// round, a different one first.
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
				sample, err := sc.sample(ctx, s, targets[turn], round, connections, fmt.Sprintf("%s-%d-%d-%d-", nonce, turn, round, connections), c)
				if err != nil {
					return samples, fmt.Errorf("%s: %w", sc.subjects[turn].name, err)
				}
				sample.Subject = sc.subjects[turn].name
				samples = append(samples, sample)
				progress(sample)
			}
		}
	}
	return samples, nil
}

// sample fills the cache, if the scenario is about hits, and measures one target.
func (sc scenario) sample(ctx context.Context, s *site, t *target, round, connections int, fresh string, c settings) (report.Sample, error) {
	plan, warm := sc.plan, sc.plan
	if sc.kind == miss {
		plan.Fresh, warm.Each = fresh, 1
	}
	// A minute after the last time, the identities and grants of the tokens have ended. To
	// renew them is no part of a hit.
	if err := load.Warm(ctx, t.address, warm); err != nil && sc.kind != refused {
		return report.Sample{}, err
	}
	closed := load.Wrk{Dir: s.dir, Connections: connections, Duration: time.Duration(c.seconds) * time.Second}
	sample, err := s.measure(ctx, t, func(ctx context.Context) (load.Result, error) {
		return closed.Run(ctx, t.address, plan, round+1)
	})
	sample.Scenario, sample.Connections, sample.Round = sc.name, connections, round
	sample.Problem = sc.kind.judge(sample)
	return sample, err
}

// progress writes a line for each sample, so that a long run is seen to work.
func progress(s report.Sample) {
	fmt.Fprintf(os.Stderr, "%s round %d, %d connections, %s: %.0f requests/s, p99 %.2f ms, CPU %.1f µs %s\n",
		s.Scenario, s.Round+1, s.Connections, s.Subject, s.Rate, s.P99/1e3, s.CPU, s.Problem)
}
