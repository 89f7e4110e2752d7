package proxy

import (
	"osgate/policy"
	"osgate/record"
)

// authorize asks the org policy. What we answer ourselves (statistics) is for members of the organization alone; what upstream answers, upstream
// decides as well.
func (p *Proxy) authorize(x *exchange) error {
	x.enter(record.StageAuthorize)
	if x.call != 0 {
		return nil
	}
	d := p.Policy.Decide(policy.Request{Principal: x.who.Principal, Operation: x.op, Plane: x.location.Plane, Region: x.location.Region})
	x.rec.Rule = d.Rule
	if !d.Allowed {
		return refusal{code: codeDenied, detail: d.Reason}
	}
	if x.op.Stats() && !x.who.Member(x.op.Ref.Organization) {
		return refusal{code: codeDenied, detail: "the caller does not belong to this organization"}
	}
	return nil
}
