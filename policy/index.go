package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"osgate/auth"
)

// index finds the rules whose scope includes a request's principal and action, without
// evaluating the others. It is exact, so that Cedar need not check these scopes again
// ([withoutIndexed]).
type index struct {
	rules         map[indexKey][]*rule // sorted by their numbers
	organizations bool                 // some key is an organization
}

// indexKey is where a rule is stored in the index: under the principal or the
// organization that its scope names, or under the type of the principal. A rule for all
// principals has neither.
type indexKey struct {
	principal types.EntityUID
	typed     bool // principal is a type
	slot      slot
}

// withoutIndexed returns p without the scopes that the index checks. For "is … in …"
// the index checks the organization and not the type.
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
	x := index{rules: make(map[indexKey][]*rule)}
	for _, r := range rules {
		principal, typed := scopePrincipal(r.ast.Principal)
		x.organizations = x.organizations || principal.Type == organizationType
		for s := range slot(slots) {
			if all[s].kind != 0 && actionFits(r.ast.Action, &all[s]) {
				at := indexKey{principal, typed, s}
				x.rules[at] = append(x.rules[at], r)
			}
		}
	}
	return x
}

// scopePrincipal returns the principal under which a rule with that scope is stored,
// and whether that is a type.
func scopePrincipal(scope ast.IsPrincipalScopeNode) (principal types.EntityUID, typed bool) {
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

// actionFits reports whether scope includes a.
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

// find appends to lists each list of rules that fit: those for all, for the principal's
// type, for the principal and for its organizations.
func (x *index) find(lists [][]*rule, uid types.EntityUID, p *auth.Principal, s slot) [][]*rule {
	places := [...]indexKey{
		{slot: s}, {principal: types.EntityUID{Type: uid.Type}, typed: true, slot: s}, {principal: uid, slot: s},
	}
	for _, at := range places {
		if found := x.rules[at]; len(found) > 0 {
			lists = append(lists, found)
		}
	}
	if x.organizations && p != nil {
		for _, id := range p.Organizations {
			if found := x.rules[indexKey{
				principal: types.EntityUID{Type: organizationType, ID: types.String(id)}, slot: s,
			}]; len(found) > 0 {
				lists = append(lists, found)
			}
		}
	}
	return lists
}
