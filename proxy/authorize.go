package proxy

import (
	"errors"

	"osgate/auth"
	"osgate/policy"
	"osgate/record"
)

// errStale is the cause if only a stale identity is known for a token.
var errStale = errors.New("the control plane is unavailable, and confirmed this token only before that")

// authorize evaluates the organization's policy for every exchange, cache hits
// included. The Stats API is answered by the gateway itself, and for members of the
// organization only. For requests that are forwarded, upstream decides as well.
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
	if x.op.Stats() && x.identity.Stale { // this answer is ours: upstream does not check the token again
		return &auth.UnavailableError{Plane: x.location.Plane, Cause: errStale}
	}
	if x.op.Stats() && !x.identity.Member(x.op.Ref.Organization) {
		return refusal{code: record.CodeDenied, title: "Not a member of the organization", detail: "the client is not a member of this organization"}
	}
	return nil
}

// judge evaluates the rules and records their decision. If the request is denied
// whatever its body contains, the body is not read.
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
	x.recordDecision(&d)
	if !d.Allowed {
		return refusal{code: record.CodeDenied, detail: d.Reason, rule: d.Rule}
	}
	x.redecideWhileStreaming(rules, facts)
	return nil
}

// ids returns the id of each item of list, nil for an empty list.
func ids[T any](list []T, id func(T) string) (all []string) {
	for _, item := range list {
		all = append(all, id(item))
	}
	return all
}
