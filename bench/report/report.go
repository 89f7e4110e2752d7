// Package report turns samples into a table, JSON and a chart.
package report

import (
	"math"
	"slices"
	"strings"
	"time"
)

// A Sample holds the measurements of one subject in one round.
type Sample struct {
	Scenario    string `json:"scenario"`
	Subject     string `json:"subject"`
	Connections int    `json:"connections,omitempty"` // 0: an open loop
	Round       int    `json:"round"`

	Requests int64   `json:"requests"`
	Rate     float64 `json:"rate"` // requests a second
	P50      float64 `json:"p50"`  // latencies in microseconds
	P90      float64 `json:"p90"`
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`

	// Processor time for each request, in microseconds.
	CPU       float64 `json:"cpu"`
	RedisCPU  float64 `json:"redisCPU"`
	OriginCPU float64 `json:"originCPU"`

	Mallocs   float64            `json:"mallocs,omitempty"`   // objects allocated for each request
	Commands  map[string]Command `json:"commands,omitempty"`  // of Redis, for each request
	RedisTrip float64            `json:"redisTrip,omitempty"` // time of a PING through the delay, in microseconds
	Reads     float64            `json:"reads"`               // values read from the origin for each request
	Refused   float64            `json:"refused,omitempty"`   // share of answers with a status above 399
	Bytes     float64            `json:"bytes"`               // received for each request
	Peak      int64              `json:"peak"`                // most resident memory, in bytes

	// Problem is not "" if the sample does not have the kind of its scenario, such as a
	// hit that was a miss.
	Problem string `json:"problem,omitempty"`
}

// Command holds the counts of one of Redis's commands.
type Command struct {
	Calls        float64 `json:"calls"`
	Microseconds float64 `json:"microseconds"`
}

// A Scenario is a group of rows.
type Scenario struct {
	Name       string   `json:"name"`
	Title      string   `json:"title"`
	Subjects   []string `json:"subjects"`
	References []string `json:"references"` // subjects; the rates of the others are divided by theirs
	Open       bool     `json:"open"`       // an open loop: the latency of the first reference is subtracted
}

// Run is a whole run.
type Run struct {
	Started  time.Time         `json:"started"`
	Command  string            `json:"command"`
	Machine  string            `json:"machine"`
	Load     string            `json:"load"` // load averages at the start and at the end
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Seconds  int               `json:"seconds"`

	Scenarios []Scenario `json:"scenarios"`
	Samples   []Sample   `json:"samples"`
}

// Row is a subject of a scenario at a number of connections: medians over the rounds.
type Row struct {
	Scenario    Scenario
	Subject     string
	Connections int
	Sample      // medians

	LowestCPU float64 // of all rounds

	// Ratios are medians of the rate divided by that of each reference in the same
	// round; 0 for the reference itself.
	Ratios []float64

	// CPURatios are the same of the processor time for each request.
	CPURatios []float64

	AddedP50, AddedP99 float64 // in an open loop: latency less that of the first reference of the same round
	Problems           []string
}

// Rows returns the rows in the order in which they were measured.
func (r *Run) Rows() []Row {
	var rows []Row
	for _, scenario := range r.Scenarios {
		for _, connections := range r.connections(scenario) {
			for _, subject := range scenario.Subjects {
				if row := r.row(scenario, subject, connections); row.Requests > 0 {
					rows = append(rows, row)
				}
			}
		}
	}
	return rows
}

// connections returns the numbers of connections of a scenario, in order.
func (r *Run) connections(s Scenario) []int {
	var all []int
	for _, sample := range r.Samples {
		if sample.Scenario == s.Name && !slices.Contains(all, sample.Connections) {
			all = append(all, sample.Connections)
		}
	}
	slices.Sort(all)
	return all
}

// samples returns the samples of a subject by round.
func (r *Run) samples(s Scenario, subject string, connections int) map[int]Sample {
	all := map[int]Sample{}
	for _, sample := range r.Samples {
		if sample.Scenario == s.Name && sample.Subject == subject && sample.Connections == connections {
			all[sample.Round] = sample
		}
	}
	return all
}

func (r *Run) row(s Scenario, subject string, connections int) Row {
	mine := r.samples(s, subject, connections)
	middle := func(of func(Sample) float64) float64 {
		var all []float64
		for _, sample := range mine {
			all = append(all, of(sample))
		}
		return Median(all)
	}
	row := Row{Scenario: s, Subject: subject, Connections: connections, Sample: Sample{
		Requests: int64(middle(func(s Sample) float64 { return float64(s.Requests) })),
		Rate:     middle(func(s Sample) float64 { return s.Rate }),
		P50:      middle(func(s Sample) float64 { return s.P50 }),
		P90:      middle(func(s Sample) float64 { return s.P90 }),
		P99:      middle(func(s Sample) float64 { return s.P99 }),
		CPU:      middle(func(s Sample) float64 { return s.CPU }),
		RedisCPU: middle(func(s Sample) float64 { return s.RedisCPU }),
		Reads:    middle(func(s Sample) float64 { return s.Reads }),
		Mallocs:  middle(func(s Sample) float64 { return s.Mallocs }),
		Peak:     int64(middle(func(s Sample) float64 { return float64(s.Peak) })),
	}}
	for _, sample := range mine {
		if row.LowestCPU == 0 || sample.CPU < row.LowestCPU {
			row.LowestCPU = sample.CPU
		}
		row.Commands = sample.Commands // of any round: they do not vary
		if sample.Problem != "" && !slices.Contains(row.Problems, sample.Problem) {
			row.Problems = append(row.Problems, sample.Problem)
		}
	}
	for i, reference := range s.References {
		theirs := r.samples(s, reference, connections)
		if !compares(subject, reference) && !s.Open {
			theirs = nil
		}
		row.Ratios = append(row.Ratios, pairs(mine, theirs, func(a, b Sample) float64 { return a.Rate / b.Rate }))
		row.CPURatios = append(row.CPURatios, pairs(mine, theirs, func(a, b Sample) float64 { return a.CPU / b.CPU }))
		if i == 0 && s.Open {
			row.AddedP50 = pairs(mine, theirs, func(a, b Sample) float64 { return a.P50 - b.P50 })
			row.AddedP99 = pairs(mine, theirs, func(a, b Sample) float64 { return a.P99 - b.P99 })
		}
	}
	return row
}

// compares reports whether a subject is compared with a reference: only osgate is, not
// with itself, and with a base binary ("before") only if it is the other one ("after").
func compares(subject, reference string) bool {
	if !isGateway(subject) {
		return false
	}
	if name, before := strings.CutSuffix(reference, " before"); before {
		return subject == name+" after"
	}
	return subject != reference
}

// isGateway reports whether a subject is osgate, and no peer.
func isGateway(subject string) bool { return strings.HasPrefix(subject, "osgate") }

// pairs returns the median of a figure of two samples of the same round, and 0 if there
// is none.
func pairs(mine, theirs map[int]Sample, figure func(a, b Sample) float64) float64 {
	var all []float64
	for round, a := range mine {
		if b, ok := theirs[round]; ok && b.Rate > 0 {
			all = append(all, figure(a, b))
		}
	}
	return Median(all)
}

// Median returns the middle of the values, or 0 if there is none. Of two values in the
// middle it is their mean.
func Median(values []float64) float64 {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
