package proxy

import (
	"osgate/auth"
	"osgate/record"
)

// identify finds out who asks. Access Management calls bring credentials of their own and identify nobody, so that they pass as they are.
func (p *Proxy) identify(x *exchange) (err error) {
	x.enter(record.StageIdentify)
	if x.call != 0 {
		return p.admitCall(x)
	}
	if x.token, err = auth.ReadToken(x.r.Header); err != nil {
		return err
	}
	x.who, err = p.Identity.Identify(x.r.Context(), x.location.Plane, x.token, x.neighborhood())
	if err != nil {
		return err
	}
	x.rec.Principal, x.rec.Client, x.rec.User = x.who.Name(), x.who.Client, x.who.User
	if p.Identified != nil {
		p.Identified(x.r)
	}
	return nil
}
