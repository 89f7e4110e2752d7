package observe

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v2"
)

// ruleTests is a file in the form of "promtool test rules", as far as alerts_test.yaml
// uses it.
type ruleTests struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []ruleTest     `yaml:"tests"`
}

// ruleTest is one history of some series, with the alerts that must fire in it.
type ruleTest struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval"`
	Input    []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []alertTest `yaml:"alert_rule_test"`
	Exprs  []exprTest  `yaml:"promql_expr_test"`
}

// alertTest lists the alerts of a name that must fire at a time; none: it must be
// silent.
type alertTest struct {
	At     model.Duration `yaml:"eval_time"`
	Name   string         `yaml:"alertname"`
	Expect []firing       `yaml:"exp_alerts"`
}

// firing is an alert that fires, with all its labels except alertname.
type firing struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// exprTest holds the result that an expression must have at a time.
type exprTest struct {
	Expr   string         `yaml:"expr"`
	At     model.Duration `yaml:"eval_time"`
	Expect []struct {
		Labels string  `yaml:"labels"`
		Value  float64 `yaml:"value"`
	} `yaml:"exp_samples"`
}

func readRuleTests(t testing.TB) ruleTests {
	t.Helper()
	var file ruleTests
	if err := yaml.UnmarshalStrict(read(t, rulesTestFile), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestAlertsFireWhenTheyShould runs the histories of alerts_test.yaml as "promtool test
// rules" does.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	file := readRuleTests(t)
	if want := []string{"alerts.yaml"}; !slices.Equal(file.RuleFiles, want) {
		t.Fatalf("rule_files: got %v, want %v", file.RuleFiles, want)
	}
	for _, test := range file.Tests {
		t.Run(strings.ReplaceAll(test.Name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			test.run(t, time.Duration(file.EvaluationInterval))
		})
	}
}

// TestEveryAlertIsSeenFiringAndSilent in alerts_test.yaml.
func TestEveryAlertIsSeenFiringAndSilent(t *testing.T) {
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range readRuleTests(t).Tests {
		for _, a := range test.Alerts {
			if len(a.Expect) > 0 {
				fires[a.Name] = true
			} else {
				silent[a.Name] = true
			}
		}
	}
	alerts := alertRules(t)
	for name := range alerts {
		if !fires[name] || !silent[name] {
			t.Errorf("%s: seen firing: %t, seen silent: %t", name, fires[name], silent[name])
		}
	}
	for name := range fires {
		if _, ok := alerts[name]; !ok {
			t.Errorf("%s is tested, and there is no such alert", name)
		}
	}
}

// run evaluates the rules minute by minute and compares the alerts that fire.
func (test ruleTest) run(t *testing.T, every time.Duration) {
	var load strings.Builder
	load.WriteString("load " + test.Interval.String() + "\n")
	for _, in := range test.Input {
		load.WriteString("  " + in.Series + " " + in.Values + "\n")
	}
	suite, err := promqltest.NewLazyLoader(load.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = suite.Close() })
	suite.SubqueryInterval = every
	groups := loadGroups(t, rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()), Appendable: suite.Storage(),
	}, time.Duration(test.Interval))
	pending := slices.Clone(test.Alerts)
	for at := time.Unix(0, 0).UTC(); !at.After(test.end()); at = at.Add(every) {
		suite.WithSamplesTill(at, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			evaluate(t, groups, at)
		})
		pending = slices.DeleteFunc(pending, func(a alertTest) bool {
			now := time.Duration(a.At) < at.Add(every).Sub(time.Unix(0, 0))
			if now {
				a.check(t, groups)
			}
			return now
		})
	}
	for _, e := range test.Exprs {
		e.check(t, suite)
	}
}

// end returns the time of the last expectation.
func (test ruleTest) end() time.Time {
	var last model.Duration
	for _, a := range test.Alerts {
		last = max(last, a.At)
	}
	for _, e := range test.Exprs {
		last = max(last, e.At)
	}
	return time.Unix(0, 0).UTC().Add(time.Duration(last))
}

// check compares the alerts of a name that fire now.
func (a alertTest) check(t *testing.T, groups []*rules.Group) {
	t.Helper()
	var got, want []string
	for _, group := range groups {
		for _, rule := range group.AlertingRules() {
			for _, active := range rule.ActiveAlerts() {
				if rule.Name() == a.Name && active.State == rules.StateFiring {
					got = append(got, active.Labels.String()+" "+active.Annotations.String())
				}
			}
		}
	}
	for _, f := range a.Expect {
		all := map[string]string{labels.AlertName: a.Name}
		maps.Copy(all, f.Labels)
		want = append(want, labels.FromMap(all).String()+" "+labels.FromMap(f.Annotations).String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s at %v (-want +got):\n%s", a.Name, a.At, diff)
	}
}

// check compares the result of an expression.
func (e exprTest) check(t *testing.T, suite *promqltest.LazyLoader) {
	t.Helper()
	query, err := suite.QueryEngine().NewInstantQuery(t.Context(), suite.Storage(), nil, e.Expr, time.Unix(0, 0).Add(time.Duration(e.At)))
	if err != nil {
		t.Fatalf("%s: %v", e.Expr, err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", e.Expr, err)
	}
	got, want := map[string]float64{}, map[string]float64{}
	for _, s := range vector {
		got[s.Metric.String()] = s.F
	}
	for _, s := range e.Expect {
		metric, err := promQL.ParseMetric(s.Labels)
		if err != nil {
			t.Fatalf("%s: %v", s.Labels, err)
		}
		want[metric.String()] = s.Value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s at %v (-want +got):\n%s", e.Expr, e.At, diff)
	}
}

// loadGroups prepares the groups of the rules file for evaluation by the test. Their
// notifications are dropped.
func loadGroups(t testing.TB, options rules.ManagerOptions, interval time.Duration) []*rules.Group {
	t.Helper()
	options.Context, options.Logger, options.Parser = t.Context(), slog.New(slog.DiscardHandler), promQL
	options.NotifyFunc = func(_ context.Context, _ string, _ ...*rules.Alert) {}
	byName, errs := rules.NewManager(&options).LoadGroups(interval, labels.EmptyLabels(), "", nil, false, rulesFile)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var groups []*rules.Group
	for _, group := range byName {
		for _, rule := range group.AlertingRules() {
			rule.SetRestored(true) // no state to restore; without this ALERTS would not be written
		}
		groups = append(groups, group)
	}
	return groups
}

// evaluate evaluates all rules at an instant; each must succeed.
func evaluate(t testing.TB, groups []*rules.Group, at time.Time) {
	t.Helper()
	for _, group := range groups {
		group.Eval(t.Context(), at)
		for _, rule := range group.Rules() {
			if err := rule.LastError(); err != nil {
				t.Fatalf("%s at %v: %v", rule.Name(), at, err)
			}
		}
	}
}
