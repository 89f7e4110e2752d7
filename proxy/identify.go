package proxy

import (
	"errors"
	"net/netip"
	"time"

	"osgate/auth"
	"osgate/record"
)

// identify finds the client's identity. Access Management calls contain credentials of
// their own: they are not identified, and are forwarded unchanged.
func (p *Proxy) identify(x *exchange) (err error) {
	x.enter(record.StageIdentify)
	if x.call != 0 {
		return p.admitCall(x)
	}
	credential, err := p.readCredential(x)
	if err != nil {
		return err
	}
	if x.identity, err = p.recognize(x, credential); err != nil {
		return err
	}
	p.recordIdentity(x)
	if p.Identified != nil {
		p.Identified(x.r)
	}
	return nil
}

// readCredential returns the credential in x's request.
func (p *Proxy) readCredential(x *exchange) (c auth.Credential, err error) {
	if p.Brokering != nil && p.Brokering.Certificate != nil {
		if c.Certificate, err = p.Brokering.Certificate(x.r); err != nil {
			return c, p.refuseCredential(err)
		}
	}
	c.Token, err = auth.ReadToken(x.r.Header)
	if errors.Is(err, auth.ErrNoToken) && c.Certificate != nil {
		err = nil
	}
	if p.Brokering != nil {
		err = p.refuseCredential(err)
	}
	return c, err
}

// recognize takes a slot for x and returns its identity. From here on an exchange may
// wait; the first wait is for a control plane, unless the token is known. Only
// exchanges that wait for that hold slots of the class unidentified.
func (p *Proxy) recognize(x *exchange, c auth.Credential) (auth.Identity, error) {
	address := x.neighborhood()
	identity, standing := p.recall(x, c, address)
	if err := p.takeSlot(x, classOf(standing)); err != nil || standing == auth.Fresh {
		return identity, err
	}
	identity, err := p.lookUp(x, c, address)
	if err == nil {
		x.slot.promote()
	}
	return identity, err
}

// recall returns what this process knows about x's credential. If that is an Anypoint
// token, it becomes the token of x's upstream requests.
func (p *Proxy) recall(x *exchange, c auth.Credential, address string) (auth.Identity, auth.TokenState) {
	ctx, plane := x.r.Context(), x.location.Plane
	if p.Brokering != nil {
		if identity, state, handled := p.Brokering.Broker.Recall(ctx, plane, c, address); handled {
			return identity, state
		}
	}
	x.token = c.Token
	return p.Identity.Recall(ctx, plane, x.token, address)
}

// lookUp identifies x's credential by the method that recall has chosen.
func (p *Proxy) lookUp(x *exchange, c auth.Credential, address string) (auth.Identity, error) {
	ctx, plane := x.r.Context(), x.location.Plane
	if p.Brokering != nil && x.token.IsZero() {
		identity, err := p.Brokering.Broker.Identify(ctx, plane, c, address)
		return identity, p.refuseCredential(err)
	}
	return p.Identity.Identify(ctx, plane, x.token, address)
}

// promote records that the client has been identified.
func (s *slot) promote() {
	if s.of == nil || s.class == identified {
		return
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.leave(unidentified, s.address)
	s.of.held[identified]++
	s.class = identified
}

// classOf returns the class of a client whose token has this standing. A token that was
// confirmed before counts as identified: otherwise its client would be shed while a
// control plane is unavailable.
func classOf(standing auth.TokenState) class {
	if standing == auth.Unknown {
		return unidentified
	}
	return identified
}

// takeSlot takes a slot for x, or returns the refusal.
func (p *Proxy) takeSlot(x *exchange, c class) error {
	s, short := p.serving.take(c, x.neighborhood())
	x.slot = s
	if short != noShortage {
		return shed(short)
	}
	return nil
}

// shed returns the refusal of an exchange that gets no slot. If the address holds its
// whole share, the address is at fault: 429, not 503.
func shed(short shortage) refusal {
	r := refusal{code: record.CodeOverloaded, detail: "too many requests are under way", retryAfter: time.Second}
	switch {
	case short == shortOfAddress:
		r.code, r.violated = record.CodeOverQuota, policyUnidentified
		r.detail = "too many unidentified requests from this address are under way"
	case short == shortOfUnidentified:
		r.detail = "too many unidentified requests are under way"
	}
	return r
}

// neighborhood returns the key under which failures of x's client are counted.
func (x *exchange) neighborhood() string {
	if x.client.Is4() {
		return x.address
	}
	return neighborhood(x.client)
}

// ipv6Network is the number of bits of an IPv6 address that identify its owner: a
// network of 64 bits is the smallest that one host is assigned (RFC 6177).
const ipv6Network = 64

// neighborhood returns the key under which addresses are limited: an IPv4 address, or
// an IPv6 network, because one host can change its address within that network at will.
// It is "" for an invalid address.
func neighborhood(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return ""
	case a.Is4():
		return a.String()
	}
	network, _ := a.Prefix(ipv6Network) // fails for more bits than an address has
	return network.String()
}
