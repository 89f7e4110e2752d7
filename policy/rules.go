package policy

import (
	"fmt"
	"sync"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"osgate/auth"
	"osgate/internal/recent"
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
		decisions: &decisions{known: recent.New[question, Decision](rememberedDecisions)},
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

// newValidator returns a validator of the vocabulary.
func newValidator(headers []string) (*validate.Validator, error) {
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(Schema(headers))); err != nil {
		return nil, fmt.Errorf("reading the policy schema: %w", err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("reading the policy schema: %w", err)
	}
	return validate.New(resolved), nil
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

// sight are the facts that some rules read, one bit for each.
type sight uint16

const (
	seesOrganization sight = 1 << iota
	seesEnvironment
	seesStore
	seesPartition
	seesPlane
	seesRegion
	seesEnvironmentType
	seesClient // the client as text, in the context
	seesUser
	seesMethod
	seesIssuer
	seesSource
	// Facts that differ in nearly every request: key, time, headers, those about the
	// body. Organizations of the principal, of which there may be thousands. The whole
	// context.
	seesMore
)

// sightOf returns the facts that f contains.
func sightOf(f *facts) (s sight) {
	if f.wholeContext || len(f.headers) > 0 || f.names(organizationType) || f.names(keyType) {
		s |= seesMore
	}
	if f.names(environmentType) || f.names(storeType) || f.names(partitionType) {
		s |= seesEnvironment | seesStore | seesPartition
	}
	for name := range f.resource {
		s |= sightOfResource(name)
	}
	for name := range f.context {
		s |= sightOfContext(name)
	}
	return s
}

// sightOfResource is the bit of an attribute of the resource.
func sightOfResource(name types.String) sight {
	switch name {
	case organizationName:
		return seesOrganization
	case environmentName:
		return seesEnvironment
	case environmentTypeName:
		return seesEnvironmentType
	case storeName:
		return seesStore
	case partitionName:
		return seesPartition
	case planeName:
		return seesPlane
	case regionName:
		return seesRegion
	}
	return seesMore
}

// sightOfContext is the bit of an attribute of the context.
func sightOfContext(name types.String) sight {
	switch name {
	case clientName:
		return seesClient
	case userName:
		return seesUser
	case identifiedByName:
		return seesMethod
	case issuerName:
		return seesIssuer
	case sourceIPName:
		return seesSource
	case confirmableName:
		return 0 // part of the action
	}
	return seesMore
}

// views are the sights of the rules for each action. They are immutable.
type views struct {
	general [slots]sight       // of the rules whose scope names no principal
	own     map[indexKey]sight // of these and those for one principal

	principals map[types.EntityUID]bool // those that conditions of any rule name
	stranger   string                   // a name for all other principals: no rule names it
}

// newViews returns the views of rules.
func newViews(rules []*rule, all *[slots]action) views {
	v := views{own: map[indexKey]sight{}, principals: map[types.EntityUID]bool{}, stranger: hidden}
	for _, r := range rules {
		v.add(r, all)
	}
	for at := range v.own {
		v.own[at] |= v.general[at.slot]
		v.principals[at.principal] = true
	}
	for v.names(clientType, v.stranger) || v.names(userType, v.stranger) {
		v.stranger += hidden
	}
	return v
}

// add adds the sight of r.
func (v *views) add(r *rule, all *[slots]action) {
	for uid := range r.facts.principals {
		v.principals[uid] = true
	}
	sees, principal := sightOf(&r.facts), types.EntityUID{}
	switch uid, typed := scopePrincipal(r.ast.Principal); {
	case uid.Type == organizationType:
		sees |= seesMore
	case !typed:
		principal = uid
	}
	for s := range slot(slots) {
		switch {
		case all[s].kind == 0 || !actionFits(r.ast.Action, &all[s]):
		case principal == types.EntityUID{}:
			v.general[s] |= sees
		default:
			v.own[indexKey{principal: principal, slot: s}] |= sees
		}
	}
}

// names reports whether a rule names the principal.
func (v *views) names(kind types.EntityType, id string) bool {
	return v.principals[types.EntityUID{Type: kind, ID: types.String(id)}]
}
