package proxy

import (
	"errors"

	"osgate/auth"
	"osgate/policy"
	"osgate/record"
)

// errStale is an identity that the control plane cannot vouch for now.
var errStale = errors.New("it vouched for this token only before it went away")

// authorize asks the org policy, for every exchange anew, cache hits included. What we answer ourselves (statistics) is for members of the organization
// alone; what upstream answers, upstream decides as well.
func (p *Proxy) authorize(x *exchange) error {
	x.enter(record.StageAuthorize)
	if x.call != 0 {
		return nil
	}
	if rules := p.Policy.Rules(); rules != nil {
		if err := p.judge(x, rules); err != nil {
			return err
		}
	}
	if x.op.Stats() && x.who.Stale { // upstream judges what is forwarded; nobody judges what we answer
		return &auth.UnavailableError{Plane: x.location.Plane, Cause: errStale}
	}
	if x.op.Stats() && !x.who.Member(x.op.Ref.Organization) {
		return refusal{code: codeDenied, title: "Not a member of the organization", detail: "the caller does not belong to this organization"}
	}
	return nil
}

// judge asks the rules and notes what they said. A body that is denied whatever it holds is not asked for.
func (p *Proxy) judge(x *exchange, rules *policy.Rules) error {
	needs := rules.NeedsOf(x.op)
	facts, d := p.bodiless(x, needs), policy.Decision{Allowed: true}
	if needs.Value && x.r.ContentLength != 0 {
		d = p.decide(x, rules.DecideWithoutBody, facts)
	}
	if d.Allowed {
		if err := x.bodyFacts(&facts, needs); err != nil {
			return err
		}
		d = p.decide(x, rules.Decide, facts)
	}
	x.rec.Rule = d.Rule
	x.note(&d)
	if !d.Allowed {
		return refusal{code: codeDenied, detail: d.Reason, rule: d.Rule}
	}
	x.watch(rules, facts)
	return nil
}

// ids returns the rules of a list, nil for none.
func ids[T any](list []T, id func(T) string) (all []string) {
	for _, item := range list {
		all = append(all, id(item))
	}
	return all
}
