package proxy

import (
	"time"

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
	if x.who, err = p.recognize(x); err != nil {
		return err
	}
	x.rec.Principal, x.rec.Client, x.rec.User = x.who.Name(), x.who.Client, x.who.User
	if p.Identified != nil {
		p.Identified(x.r)
	}
	return nil
}

// recognize takes a slot for x and returns its caller. From here on an exchange may wait:
// first of all for a control plane, unless the token is known. Only those that wait for it
// hold slots as strangers.
func (p *Proxy) recognize(x *exchange) (auth.Identity, error) {
	plane, address := x.location.Plane, x.neighborhood()
	who, standing := p.Identity.Recall(x.r.Context(), plane, x.token, address)
	if err := p.occupy(x, classOf(standing)); err != nil || standing == auth.Fresh {
		return who, err
	}
	who, err := p.Identity.Identify(x.r.Context(), plane, x.token, address)
	if err == nil {
		x.slot.promote()
	}
	return who, err
}

// classOf returns the class of a caller with a token of this standing. One that was
// confirmed before is no stranger: it would be shed while a control plane is down.
func classOf(standing auth.TokenState) class {
	if standing == auth.Unknown {
		return stranger
	}
	return identified
}

// occupy takes a slot for x, or refuses it.
func (p *Proxy) occupy(x *exchange, c class) error {
	s, short := p.serving.take(c, x.neighborhood())
	x.slot = s
	if short != noShortage {
		return shed(short)
	}
	return nil
}

// shed is what a client gets for whose exchange there is no slot. An address that holds its
// share has itself to blame, the others do not.
func shed(short shortage) refusal {
	r := refusal{code: codeOverloaded, detail: "too many requests are under way", retryAfter: time.Second}
	switch {
	case short == shortOfAddress:
		r.code, r.violated = codeOverQuota, policyUnidentified
		r.detail = "too many requests from this address are under way that are not identified"
	case short == shortOfStranger:
		r.detail += " that are not identified"
	}
	return r
}
