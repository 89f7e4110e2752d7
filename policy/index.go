package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"osgate/auth"
)

// index finds the rules that fit a request's principal and action without looking at the others. It is exact, so that Cedar need not look at these
// scopes again ([withoutIndexed]).
type index struct {
	rules         map[place][]*rule // in the order of their numbers
	organizations bool              // some place is an organization
}

// place is where a rule is found: under the principal or the organization that its scope names, or under a principal's type alone; under none of
// them if it is for all.
type place struct {
	who   types.EntityUID
	typed bool // who is a type
	slot  slot
}

// withoutIndexed returns p without what the index is exact about. Of "is … in …" it knows the organization and not the type.
func withoutIndexed(p *ast.Policy) *ast.Policy {
	q := *p
	q.Action = ast.ScopeTypeAll{}
	switch s := p.Principal.(type) {
	case ast.ScopeTypeIsIn:
		q.Principal = ast.ScopeTypeIs{Type: s.Type}
	default:
		q.Principal = ast.ScopeTypeAll{}
	}
	return &q
}

// newIndex returns the index of rules.
func newIndex(rules []*rule, all *[slots]action) index {
	x := index{rules: make(map[place][]*rule)}
	for _, r := range rules {
		who, typed := scopePrincipal(r.ast.Principal)
		x.organizations = x.organizations || who.Type == organizationType
		for s := range slot(slots) {
			if all[s].kind != 0 && actionFits(r.ast.Action, &all[s]) {
				at := place{who, typed, s}
				x.rules[at] = append(x.rules[at], r)
			}
		}
	}
	return x
}

// scopePrincipal returns under whom a rule with that scope is found, and whether that is a type.
func scopePrincipal(scope ast.IsPrincipalScopeNode) (who types.EntityUID, typed bool) {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity, false
	case ast.ScopeTypeIn:
		return s.Entity, false
	case ast.ScopeTypeIsIn:
		return s.Entity, false
	case ast.ScopeTypeIs:
		return types.EntityUID{Type: s.Type}, true
	default:
		return types.EntityUID{}, false
	}
}

// actionFits reports whether a is in scope.
func actionFits(scope ast.IsActionScopeNode, a *action) bool {
	in := func(uid types.EntityUID) bool { return uid == a.uid || a.entity.Parents.Contains(uid) }
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity == a.uid
	case ast.ScopeTypeIn:
		return in(s.Entity)
	case ast.ScopeTypeInSet:
		return slices.ContainsFunc(s.Entities, in)
	default:
		return true
	}
}

// find adds to lists each list of rules that fit: those for all, for the principal's type, for it and for its organizations.
func (x *index) find(lists [][]*rule, uid types.EntityUID, p *auth.Principal, s slot) [][]*rule {
	places := [...]place{{slot: s}, {who: types.EntityUID{Type: uid.Type}, typed: true, slot: s}, {who: uid, slot: s}}
	for _, at := range places {
		if found := x.rules[at]; len(found) > 0 {
			lists = append(lists, found)
		}
	}
	if x.organizations && p != nil {
		for _, id := range p.Organizations {
			if found := x.rules[place{who: types.EntityUID{Type: organizationType, ID: types.String(id)}, slot: s}]; len(found) > 0 {
				lists = append(lists, found)
			}
		}
	}
	return lists
}
