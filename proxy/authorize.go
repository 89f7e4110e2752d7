package proxy

import (
	"errors"

	"osgate/auth"
	"osgate/policy"
	"osgate/record"
)

// errStale is an identity that the control plane cannot vouch for now.
var errStale = errors.New("it vouched for this token only before it went away")

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
	if x.op.Stats() && x.who.Stale { // upstream judges what is forwarded; nobody judges what we answer
		return &auth.UnavailableError{Plane: x.location.Plane, Cause: errStale}
	}
	if x.op.Stats() && !x.who.Member(x.op.Ref.Organization) {
		return refusal{code: codeDenied, detail: "the caller does not belong to this organization"}
	}
	return nil
}
