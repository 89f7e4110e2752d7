package observe

import (
	"math"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// inTheirPlace are selectors that correctly find no series in the run, with the
// selectors to check instead.
var inTheirPlace = map[string]string{
	// More label sets than the limit are a bug of osgate, which does not occur in the
	// run.
	`{job=~".*osgate.*",otel_metric_overflow="true"}`: `{job=~".*osgate.*"}`,
}

// TestOnARunningFleet evaluates every query with Prometheus's engine on the metrics of
// gateways in a run with many successes and with every kind of failure.
func TestOnARunningFleet(t *testing.T) {
	fleet := play(t)
	p := newPrometheus(t, fleet)
	t.Run("EveryQueryOfADashboardReturnsData", p.returnsData)
	t.Run("QueriesNameOnlyWhatOsgateExports", p.knowsAll)
	t.Run("VariablesOfDashboardsHaveValues", p.hasValues)
	t.Run("LogQueriesNameOnlyFieldsOfTheAccessLog", fleet.logsFields)
}

// returnsData checks that every query of a dashboard returns data, with the labels that
// its legend names.
func (p *prometheus) returnsData(t *testing.T) {
	for _, d := range dashboards(t) {
		d.each("prometheus", func(panel panel, q target) {
			vector, err := p.ask(t, q.Expr)
			if err != nil {
				t.Errorf("%s: %q: %s: %v", d.file, panel.Title, q.Expr, err)
				return
			}
			vector = slices.DeleteFunc(vector, func(s promql.Sample) bool { return math.IsNaN(s.F) })
			if len(vector) == 0 {
				t.Errorf("%s: %q: no data for %s", d.file, panel.Title, q.Expr)
			}
			for _, label := range legendLabels.FindAllStringSubmatch(q.Legend, -1) {
				if !slices.ContainsFunc(vector, func(s promql.Sample) bool { return s.Metric.Get(label[1]) != "" }) {
					t.Errorf("%s: %q: the legend names %s, which no series of %s has", d.file, panel.Title, label[1], q.Expr)
				}
			}
		})
	}
}

var legendLabels = regexp.MustCompile(`\{\{(\w+)\}\}`)

// knowsAll checks the metrics, labels, label values and grouping labels of dashboards
// and rules.
func (p *prometheus) knowsAll(t *testing.T) {
	for _, d := range dashboards(t) {
		d.each("prometheus", func(panel panel, q target) { p.knows(t, d.file+": "+panel.Title, q.Expr) })
	}
	for name, rule := range alertRules(t) {
		p.knows(t, name, rule.Expr)
	}
}

// hasValues checks that the variables of dashboards have values.
func (p *prometheus) hasValues(t *testing.T) {
	form := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for _, d := range dashboards(t) {
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			parts := form.FindStringSubmatch(v.Definition)
			if parts == nil {
				t.Errorf("%s: variable %s: %q is no label_values", d.file, v.Name, v.Definition)
				continue
			}
			p.finds(t, d.file+": variable "+v.Name, withLabel(t, variables.Replace(parts[1]), parts[2]))
		}
	}
}

// knows checks every selector of an expression, and that its grouping labels exist.
func (p *prometheus) knows(t *testing.T, where, expression string) {
	t.Helper()
	expr, err := promQL.ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %s: %v", where, expression, err)
		return
	}
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		bare := plain(selector)
		if other, ok := inTheirPlace[bare]; ok {
			bare = other
		}
		p.finds(t, where, bare)
		for _, above := range path {
			if by, ok := above.(*parser.AggregateExpr); ok && !by.Without {
				for _, label := range by.Grouping {
					p.finds(t, where, withLabel(t, bare, label))
				}
			}
		}
		return nil
	})
}

// finds checks that a selector has series.
func (p *prometheus) finds(t *testing.T, where, selector string) {
	t.Helper()
	if vector, err := p.ask(t, selector); err != nil || len(vector) == 0 {
		t.Errorf("%s: osgate exports nothing that is %s (%v)", where, selector, err)
	}
}

// plain returns a selector as text, without offset and range.
func plain(selector *parser.VectorSelector) string {
	bare := parser.VectorSelector{Name: selector.Name, LabelMatchers: selector.LabelMatchers}
	return bare.String()
}

// withLabel adds to a selector the condition that a label exists.
func withLabel(t *testing.T, selector, label string) string {
	t.Helper()
	expr, err := promQL.ParseExpr(selector)
	if err != nil {
		t.Fatalf("%s: %v", selector, err)
	}
	s, ok := expr.(*parser.VectorSelector)
	if !ok {
		t.Fatalf("%s is no selector", selector)
	}
	s.LabelMatchers = append(s.LabelMatchers, labels.MustNewMatcher(labels.MatchNotEqual, label, ""))
	return s.String()
}
