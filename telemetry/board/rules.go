package board

import (
	"cmp"
	"slices"
	"strings"

	"osgate/record"
)

// maxRules is the maximum number of policy rules that are counted separately; further
// ones count as otherRules.
const (
	maxRules   = 64
	otherRules = "other"
)

// RuleCount is how often an event occurred with one policy rule.
type RuleCount struct {
	Rule   string `json:"rule"`
	Window int64  `json:"window"` // in the last minute
	Total  int64  `json:"total"`  // since the start
}

// rules contains counts by policy rule. It is not safe for concurrent use.
type rules []*rule

type rule struct {
	name   string
	total  int64
	recent recent
}

// add counts each of names once, in second n.
func (rs *rules) add(n int64, names []string) {
	for _, name := range names {
		r := rs.of(record.ShortName(name))
		r.total++
		r.recent.add(n, false)
	}
}

// of returns the rule with that name. It adds the rule if there is room.
func (rs *rules) of(name string) *rule {
	for _, r := range *rs {
		if r.name == name || r.name == otherRules && len(*rs) == maxRules {
			return r
		}
	}
	if len(*rs) == maxRules-1 {
		name = otherRules
	}
	*rs = append(*rs, &rule{name: strings.Clone(name)})
	return (*rs)[len(*rs)-1]
}

// rows returns all counts as of second n, the largest in the window first. It is never
// nil, so that JSON has [].
func (rs rules) rows(n int64) []RuleCount {
	rows := make([]RuleCount, 0, len(rs))
	for _, r := range rs {
		window, _ := r.recent.sum(n)
		rows = append(rows, RuleCount{r.name, window, r.total})
	}
	slices.SortFunc(rows, func(x, y RuleCount) int {
		return cmp.Or(cmp.Compare(y.Window, x.Window), cmp.Compare(y.Total, x.Total), strings.Compare(x.Rule, y.Rule))
	})
	return rows
}
