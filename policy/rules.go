package policy

import (
	"fmt"
	"sync"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"osgate/auth"
	"osgate/internal/watch"
	"osgate/objectstore"
)

// Rules are a set of rules, checked and compiled. A nil *Rules is no policy: it permits
// everything. Rules are immutable and safe for concurrent use.
type Rules struct {
	all      []*rule
	byID     map[types.PolicyID]*rule
	shadow   bool // Options.Shadow
	shadowed int
	headers  []string // names of the headers that rules may read

	actions [slots]action
	facts   [slots]facts // read by the rules that may fit an action
	needs   [slots]Needs
	total   Needs
	forbids index
	permits index
	views   views

	evaluations sync.Pool // of *evaluation, reset
	decisions   *decisions
}

// compile returns the Rules of files, or a *[LoadError].
func compile(files []watch.File, o Options) (*Rules, error) {
	rs := &Rules{
		byID: make(map[types.PolicyID]*rule), shadow: o.Shadow, headers: o.Headers, actions: actions(),
		decisions: newDecisions(),
	}
	var problems []Problem
	for _, f := range files {
		found, wrong := parse(f)
		rs.all = append(rs.all, found...)
		problems = append(problems, wrong...)
		if len(rs.all) > maxRules {
			return nil, &LoadError{Problems: []Problem{{
				File: f.Name, Message: fmt.Sprintf("with this file there are more than %d rules", maxRules),
			}}}
		}
	}
	validator, err := newValidator(o.Headers)
	if err != nil {
		return nil, err
	}
	problems = append(problems, rs.check(validator, o.Headers)...)
	switch {
	case len(problems) > 0:
		return nil, &LoadError{Problems: problems}
	case len(rs.all) == 0:
		return nil, &LoadError{
			Problems: []Problem{{File: files[0].Name, Message: ErrNoRules.Error()}}, cause: ErrNoRules,
		}
	}
	rs.index(o.Headers)
	return rs, nil
}

// Rule describes one rule.
type Rule struct {
	ID     string `json:"id"`
	Permit bool   `json:"permit"` // otherwise it forbids
	Shadow bool   `json:"shadow"` // it is in shadow mode by itself or with all
	File   string `json:"file"`
	Line   int    `json:"line"`
}

// List returns the rules in the order of their files.
func (rs *Rules) List() []Rule {
	if rs == nil {
		return nil
	}
	list := make([]Rule, 0, len(rs.all))
	for _, r := range rs.all {
		list = append(list, Rule{
			ID: r.id, Permit: !r.forbid, Shadow: r.shadow || rs.shadow,
			File: r.file, Line: r.ast.Position.Line,
		})
	}
	return list
}

// check numbers the rules, stores them by id and returns their problems.
func (rs *Rules) check(v *validate.Validator, headers []string) []Problem {
	var problems []Problem
	for i, r := range rs.all {
		r.number = i
		if r.shadow || rs.shadow {
			rs.shadowed++
		}
		if first := rs.byID[types.PolicyID(r.id)]; first != nil {
			problems = append(problems,
				r.at(fmt.Sprintf("its id is that of the rule at %s:%d", first.file, first.ast.Position.Line)))
		}
		rs.byID[types.PolicyID(r.id)] = r
		problems = append(problems, r.problems(v, headers)...)
	}
	return problems
}

// index builds the indexes by principal and action, and the facts that rules read.
func (rs *Rules) index(headers []string) {
	var forbids, permits []*rule
	for _, r := range rs.all {
		inForce := !r.shadow && !rs.shadow
		r.facts.definition = inForce && r.facts.reads(ttlSecondsName)
		r.facts.typed = inForce && r.facts.reads(valueTypeName)
		if r.forbid {
			forbids = append(forbids, r)
		} else {
			permits = append(permits, r)
		}
	}
	rs.forbids, rs.permits = newIndex(forbids, &rs.actions), newIndex(permits, &rs.actions)
	rs.views = newViews(rs.all, &rs.actions)
	everything := newFacts()
	for s := range rs.facts {
		rs.facts[s] = newFacts()
		if rs.actions[s].kind == 0 {
			continue
		}
		for _, r := range rs.all {
			if actionFits(r.ast.Action, &rs.actions[s]) {
				rs.facts[s].add(r.facts)
			}
		}
		rs.needs[s] = rs.facts[s].needs(headers)
		everything.add(rs.facts[s])
	}
	rs.total = everything.needs(headers)
}

// Len returns the number of rules.
func (rs *Rules) Len() int {
	if rs == nil {
		return 0
	}
	return len(rs.all)
}

// IDs returns the ids of the rules in the order of their files.
func (rs *Rules) IDs() []string {
	var ids []string
	if rs != nil {
		for _, r := range rs.all {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// Needs returns the facts that any rule reads. The Headers must not be changed.
func (rs *Rules) Needs() Needs {
	if rs == nil {
		return Needs{}
	}
	return rs.total
}

// NeedsOf returns the facts that the rules for o's action read. The Headers must not be
// changed.
func (rs *Rules) NeedsOf(o objectstore.Operation) Needs {
	if rs == nil {
		return Needs{}
	}
	return rs.needs[slotOf(o.Kind, o.Confirmable)]
}

// NeedsFor returns the facts that the rules for o and this principal read;
// [Rules.NeedsOf] includes rules for other principals. The caller owns the Headers.
func (rs *Rules) NeedsFor(o objectstore.Operation, principal *auth.Principal) Needs {
	if rs == nil {
		return Needs{}
	}
	s, uid, read := slotOf(o.Kind, o.Confirmable), principalUID(&Request{Principal: principal}), newFacts()
	for _, x := range []*index{&rs.forbids, &rs.permits} {
		for _, rules := range x.find(nil, uid, principal, s) {
			for _, r := range rules {
				read.add(r.facts)
			}
		}
	}
	return read.needs(rs.headers)
}

// needs returns the facts that have to be fetched; headers are those that rules may
// read.
func (f *facts) needs(headers []string) Needs {
	n := Needs{
		EnvironmentType: f.resource[environmentTypeName],
		Region:          f.resource[regionName],
		Value:           f.body(),
		Type:            f.typed,
		Definition:      f.definition,
		ValueBytes:      f.reads(valueBytesName),
		SourceIP:        f.reads(sourceIPName),
		Issuer:          f.reads(issuerName),
	}
	for _, name := range headers {
		if f.wholeContext || f.headers[types.String(name)] {
			n.Headers = append(n.Headers, name)
		}
	}
	return n
}
