package telemetry

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"osgate/record"
)

// maxRuleNames bounds the policy rules that are told apart in metrics; those beyond it are counted under otherRules. Their ids are the operator's own
// words, so that no closed list bounds them.
const maxRuleNames = 200

// verdict is what a policy rule made of an exchange.
type verdict uint8

const (
	ruleAllowed verdict = iota
	ruleDenied
	ruleShadow // it would have denied, had it not been in shadow mode
	ruleFailed // its evaluation failed
	verdicts
)

// ruleRow counts what one rule decided.
type ruleRow [verdicts]tally

// policyRows count by policy rule.
type policyRows struct{ *table[string, ruleRow] }

func newPolicyRows() policyRows {
	t := newTable[string](maxRuleNames, newRuleRow)
	t.rest = newRuleRow(attrPolicyRule.String(otherRules))
	return policyRows{t}
}

func newRuleRow(kv ...attribute.KeyValue) *ruleRow {
	row := &ruleRow{}
	for v, name := range [verdicts]string{"allow", "deny", "shadow", "error"} {
		set := attribute.NewSet(append(slices.Clone(kv), attrPolicyDecision.String(name))...)
		row[v].labels = []metric.ObserveOption{metric.WithAttributeSet(set)}
	}
	return row
}

func ruleLabels(rule string) []attribute.KeyValue {
	l := labelList{}
	l.text(attrPolicyRule, rule)
	return l
}

// keep counts what the policy said of x, if it was asked and has rules. What is denied without a rule is no member's business: statistics.
func (p policyRows) keep(x *record.Exchange) {
	switch {
	case x.Code == codeDenied, x.Denied: // a body that grew over what a rule permits is refused as too large
		p.count(x.Rule, ruleDenied)
	case x.Rule != "":
		p.count(x.Rule, ruleAllowed)
	}
	for _, rule := range x.Shadow {
		p.count(rule, ruleShadow)
	}
	for _, rule := range x.PolicyErrors {
		p.count(rule, ruleFailed)
	}
}

// count counts one decision. Rules that have their first bytes in common, more than anybody writes, are one.
func (p policyRows) count(rule string, v verdict) { p.row(short(rule), ruleLabels)[v].add(1) }

// observe tells o every number.
func (p policyRows) observe(o metric.Observer, counter metric.Int64Observable) {
	p.each(func(row *ruleRow) {
		for v := range row {
			row[v].observe(o, counter)
		}
	})
}
