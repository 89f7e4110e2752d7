package policy

import (
	"net/netip"

	"osgate/auth"
	"osgate/objectstore"
)

// question has the facts about a request that the rules for it read, and no other. A
// decision is made from a question alone ([question.request]), so equal questions have
// equal decisions.
type question struct {
	kind        objectstore.Kind
	confirmable bool
	ref         objectstore.Ref // with hidden names

	client, user string // or the stranger
	method       auth.Method
	issuer       string

	plane, region   string
	environmentType string
	source          netip.Addr
}

// hidden replaces a name that no rule reads, so that the resource keeps its type.
const hidden = "?"

// question returns the question of r, and false if the rules read more facts than a
// question has.
func (v *views) question(r *Request) (q question, ok bool) {
	s := slotOf(r.Operation.Kind, r.Operation.Confirmable)
	if s >= slots {
		return q, false
	}
	sees, own := v.own[indexKey{principal: principalUID(r), slot: s}]
	if !own {
		sees = v.general[s]
	}
	if sees&seesMore != 0 {
		return q, false
	}
	from := &r.Operation.Ref
	q = question{
		kind: r.Operation.Kind, confirmable: r.Operation.Confirmable,
		ref: objectstore.Ref{
			Organization: sees.name(seesOrganization, from.Organization),
			Environment:  sees.name(seesEnvironment, from.Environment),
			Region:       sees.text(seesRegion, from.Region),
			Store:        sees.name(seesStore, from.Store),
			Partition:    sees.name(seesPartition, from.Partition),
			Key:          sees.name(seesMore, from.Key),
		},
		plane: sees.text(seesPlane, r.Plane), region: sees.text(seesRegion, r.Region),
		environmentType: sees.text(seesEnvironmentType, r.EnvironmentType),
	}
	if sees&seesSource != 0 {
		q.source = r.SourceIP
	}
	if r.Principal != nil {
		v.identify(&q, r.Principal, sees)
	}
	return q, true
}

// identify adds the principal to q. Rules compare a principal with those that they name
// and with nothing else, so that all others are one stranger, unless the rules read their
// names as text.
func (v *views) identify(q *question, p *auth.Principal, sees sight) {
	q.method, q.issuer = auth.Method(sees.text(seesMethod, string(p.Method))), sees.text(seesIssuer, p.Issuer)
	q.user = sees.text(seesUser, p.User)
	switch {
	case p.Client != "" && (sees&seesClient != 0 || v.names(clientType, p.Client)):
		q.client = p.Client
	case p.Client != "":
		q.client = v.stranger
	case p.User != "" && v.names(userType, p.User):
		q.user = p.User
	case p.User != "" && sees&seesUser == 0:
		q.user = v.stranger
	}
}

// text returns the text of a fact, empty if the rules do not read it.
func (s sight) text(fact sight, text string) string {
	if s&fact == 0 {
		return ""
	}
	return text
}

// name is text for a name of the resource.
func (s sight) name(fact sight, name string) string {
	if name == "" || s&fact != 0 {
		return name
	}
	return hidden
}

// request returns a request that the rules cannot distinguish from those with this
// question.
func (q *question) request() Request {
	return Request{
		Principal: &auth.Principal{Client: q.client, User: q.user, Method: q.method, Issuer: q.issuer},
		Operation: objectstore.Operation{Kind: q.kind, Confirmable: q.confirmable, Ref: q.ref},
		Plane:     q.plane, Region: q.region, EnvironmentType: q.environmentType,
		TTLSeconds: -1, SourceIP: q.source,
	}
}
