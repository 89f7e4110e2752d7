package metrics

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"osgate/record"
	"osgate/telemetry/attributes"
)

// maxRuleNames is the maximum number of policy rules that metrics distinguish; further
// ones count as otherRules. Operators choose the ids of rules, so they are not from a
// closed list.
const maxRuleNames = 200

// otherRules is the name of all rules beyond maxRuleNames.
const otherRules = "other"

// verdict is the result of a policy rule for an exchange.
type verdict uint8

const (
	ruleAllowed verdict = iota
	ruleDenied
	ruleShadow // in shadow mode; otherwise it would have denied
	ruleFailed // its evaluation failed
	verdicts
)

// ruleRow counts the verdicts of one rule.
type ruleRow [verdicts]tally

// policyRows contains the counts of each policy rule.
type policyRows struct{ *table[string, ruleRow] }

func newPolicyRows() policyRows {
	t := newTable[string](maxRuleNames, newRuleRow)
	t.rest = newRuleRow(attributes.PolicyRule.String(otherRules))
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
	l := attributes.List{}
	l.Text(attributes.PolicyRule, rule)
	return l
}

// keep counts the decision of the policy on x, if policy has rules. A denial without a
// rule is a refused read of another organization's statistics.
func (p policyRows) keep(x *record.Exchange) {
	switch {
	case x.Code == record.CodeDenied, x.Denied: // a body that grows beyond a rule's limit is refused as too large
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

// count counts one verdict. Rules with the same first bytes, more than rule ids
// normally have, count as one.
func (p policyRows) count(rule string, v verdict) {
	p.row(record.ShortName(rule), ruleLabels)[v].add(1)
}

// observe reports every count to o.
func (p policyRows) observe(o metric.Observer, counter metric.Int64Observable) {
	p.each(func(row *ruleRow) {
		for v := range row {
			row[v].observe(o, counter)
		}
	})
}
