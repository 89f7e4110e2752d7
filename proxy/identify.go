package proxy

import (
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
