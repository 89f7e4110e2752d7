package policy

import (
	"github.com/cedar-policy/cedar-go/types"
)

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
