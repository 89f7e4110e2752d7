package observe

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
)

// The times at which the two rounds of the run count as scraped. Queries are evaluated
// at the second.
var (
	firstScrape  = time.Unix(1_800_000_000, 0).UTC()
	secondScrape = firstScrape.Add(time.Minute)
)

// sample is one line of /metrics.
type sample struct {
	labels labels.Labels
	value  float64
}

// parse parses a scrape as Prometheus would.
func parse(t testing.TB, text []byte) (samples []sample) {
	t.Helper()
	p := textparse.NewPromParser(text, labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			t.Fatalf("reading /metrics: %v", err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var s sample
		_, _, s.value = p.Series()
		p.Labels(&s.labels)
		samples = append(samples, s)
	}
}

// exchangesIn returns the number of exchanges that a scrape reports.
func exchangesIn(t testing.TB, text []byte) (n int64) {
	for _, s := range parse(t, text) {
		if s.labels.Get(model.MetricNameLabel) == "osgate_exchanges_total" {
			n += int64(s.value)
		}
	}
	return n
}

// prometheus is a Prometheus that has scraped a run twice and evaluated the rules after
// each scrape.
type prometheus struct {
	storage storage.Storage
	engine  *promql.Engine
}

func newPrometheus(t testing.TB, r *run) *prometheus {
	t.Helper()
	p := &prometheus{
		storage: teststorage.New(t),
		engine:  promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true, Parser: promQL}),
	}
	t.Cleanup(func() { _ = p.engine.Close() })
	groups := loadGroups(t, rules.ManagerOptions{QueryFunc: rules.EngineQueryFunc(p.engine, p.storage), Appendable: p.storage}, time.Minute)
	for i, at := range []time.Time{firstScrape, secondScrape} {
		p.keep(t, r.scrapes[i], at)
		evaluate(t, groups, at)
	}
	return p
}

// keep stores scrapes as Prometheus does: with the labels of the target, and with up.
func (p *prometheus) keep(t testing.TB, scrapes map[string][]byte, at time.Time) {
	t.Helper()
	app := p.storage.Appender(t.Context())
	for instance, text := range scrapes {
		for _, s := range append(parse(t, text), sample{labels: labels.FromStrings(model.MetricNameLabel, "up"), value: 1}) {
			b := labels.NewBuilder(s.labels)
			b.Set("job", "osgate").Set("instance", instance)
			if _, err := app.Append(0, b.Labels(), at.UnixMilli(), s.value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// ask evaluates an expression at the time of the second scrape.
func (p *prometheus) ask(t testing.TB, expression string) (promql.Vector, error) {
	t.Helper()
	query, err := p.engine.NewInstantQuery(t.Context(), p.storage, nil, expression, secondScrape)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	result := query.Exec(t.Context())
	if scalar, err := result.Scalar(); err == nil {
		return promql.Vector{{F: scalar.V}}, nil
	}
	return result.Vector()
}
