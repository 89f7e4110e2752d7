package proxy

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
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

// Brokering serves clients that have no Anypoint credential: their own credential ends
// here, and their requests go upstream with the gateway's own token.
type Brokering struct {
	Broker Broker
	Tokens OwnTokens
	// Certificate returns the verified client certificate of a request, nil if there is
	// none. Nil: certificates identify no client.
	Certificate func(*http.Request) (*x509.Certificate, error)
	// Contains reports whether a text contains a credential that ends at the gateway.
	// Nil: no text can.
	Contains func(text string) bool
	ClientID string // of the gateway's own connected app
}

// Broker identifies clients by the methods that need no Anypoint credential.
// *[broker.Identifier] is one. Recall never waits; if handled is false, the credential
// is an Anypoint token. Identify may wait for a bounded time.
type Broker interface {
	Recall(
		ctx context.Context, plane string, credential auth.Credential, address string,
	) (id auth.Identity, state auth.TokenState, handled bool)
	Identify(ctx context.Context, plane string, credential auth.Credential, address string) (auth.Identity, error)
}

// OwnTokens are the gateway's own Anypoint tokens, one for each plane. *[broker.Tokens]
// is one. Refused, Accepted and Forbidden report upstream's answers to a token: 401, any
// other, 403.
type OwnTokens interface {
	Token(ctx context.Context, plane string) (auth.Token, error)
	Refused(plane string, token auth.Token)
	Accepted(plane string, token auth.Token)
	Forbidden(plane string, at broker.Place)
}

// refuseCredential is brokerRefusal, and counts the refusal.
func (p *Proxy) refuseCredential(err error) error {
	if errors.Is(err, auth.ErrBadToken) {
		p.refusedCredentials.count(err)
	}
	return brokerRefusal(err)
}

// brokerRefusal turns an error about a credential that is no Anypoint token into its
// refusal. The reason is for the log only: it could help to forge a credential.
func brokerRefusal(err error) error {
	switch {
	case errors.Is(err, auth.ErrBadToken):
		return refusal{code: record.CodeBadToken, detail: "the gateway does not accept this credential", cause: err}
	case errors.Is(err, auth.ErrNoToken):
		return refusal{code: record.CodeNoToken, detail: "the request has no credential that the gateway accepts"}
	}
	return err
}

// brokered reports whether x's client has no Anypoint credential.
func (x *exchange) brokered() bool { return x.identity.Principal != nil && x.identity.Brokered() }

// recordIdentity records the client, and how it was identified.
func (p *Proxy) recordIdentity(x *exchange) {
	x.rec.Principal, x.rec.Client, x.rec.User = x.identity.Name(), x.identity.Client, x.identity.User
	x.rec.IdentifiedBy, x.rec.Issuer = string(p.TokenMethod), x.identity.Issuer
	if x.brokered() {
		x.rec.IdentifiedBy = string(x.identity.Method)
	}
}

// takeOwnToken makes x's upstream requests carry the gateway's own token, if its client
// has no Anypoint credential. It waits only if no token is known.
func (p *Proxy) takeOwnToken(x *exchange) error {
	if !x.brokered() || !x.token.IsZero() {
		return nil
	}
	token, err := p.Brokering.Tokens.Token(x.r.Context(), x.location.Plane)
	x.token = token
	return err
}

// Causes of the refusal upstream-credential.
var (
	errOwnTokenRefused   = errors.New("upstream answered 401 to the gateway's own token")
	errOwnTokenForbidden = errors.New("upstream answered 403 to the gateway's own token: " +
		"the connected app lacks a scope, or the organization or environment is not its own")
)

// ownCredentialRefused reports whether err is about the gateway's own credential.
func ownCredentialRefused(err error) bool {
	_, refused := errors.AsType[*broker.CredentialError](err)
	return refused || errors.Is(err, errOwnTokenRefused) || errors.Is(err, errOwnTokenForbidden)
}

// CredentialRefusal is how many credentials were refused for one reason since the
// start.
type CredentialRefusal struct {
	Method auth.Method // [auth.ByJWT], [auth.ByMTLS], or "none": no method recognized it
	Reason string      // of a closed list
	Count  int64
}

// noMethod is the method of a credential that none recognizes.
const noMethod auth.Method = "none"

// refusedCredential is an error that refuses a credential for a reason of a closed
// list.
type refusedCredential interface {
	error
	Refusal() (method auth.Method, reason string)
}

// credentialRefusals count refused credentials. The zero value is ready to use. It is
// safe for concurrent use.
type credentialRefusals struct {
	mu     sync.Mutex
	counts map[CredentialRefusal]int64 // Count of the key is 0
}

// count counts err, which wraps [auth.ErrBadToken].
func (c *credentialRefusals) count(err error) {
	r := CredentialRefusal{Method: noMethod, Reason: "unrecognized"}
	if e, ok := errors.AsType[refusedCredential](err); ok {
		r.Method, r.Reason = e.Refusal()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[CredentialRefusal]int64{}
	}
	c.counts[r]++
}

// CredentialRefusals returns the refused credentials that are no Anypoint tokens by
// method and reason, sorted. Credentials that were not judged because their address had
// failed too often are not among them.
func (p *Proxy) CredentialRefusals() []CredentialRefusal {
	c := &p.refusedCredentials
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]CredentialRefusal, 0, len(c.counts))
	for r, n := range c.counts {
		r.Count = n
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b CredentialRefusal) int {
		return cmp.Or(cmp.Compare(a.Method, b.Method), strings.Compare(a.Reason, b.Reason))
	})
	return all
}

// A client's credential without Anypoint ends at the gateway. checkCallCredential and
// checkLeaks check what goes upstream and could contain it: Authorization of an Access
// Management call, the query, the headers of the allow list, and the body of an Access
// Management call. Values, keys and names are data of the client, and are not searched.

var (
	// errForeignCall refuses an Access Management call with a credential that is no
	// Anypoint token.
	errForeignCall = refusal{
		code: record.CodeDenied, title: "Not an Anypoint token",
		detail: "Access Management calls need a token of Anypoint; this credential is sent to no other service",
	}
	// errLeak refuses a request that would send a credential of the gateway upstream.
	errLeak = refusal{
		code: record.CodeBadRequest, title: "Credential in a wrong place",
		detail: "a token for this gateway belongs into the header Authorization alone, after Bearer; " +
			"it is sent to no other service",
	}
)

// leaks reports whether text, as it is or decoded as a part of a URL, contains a
// credential that ends at the gateway.
func (p *Proxy) leaks(text string) bool {
	contains := p.Brokering.Contains
	if contains == nil || text == "" {
		return false
	}
	if contains(text) {
		return true
	}
	decoded, err := url.QueryUnescape(text)
	return err == nil && decoded != text && contains(decoded)
}
