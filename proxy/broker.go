package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net/http"

	"osgate/auth"
	"osgate/auth/broker"
	"osgate/record"
)

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

// quotaName returns the name under which x's client is counted. A client without an
// Anypoint credential never shares a count with one of the same name that another
// method or issuer identified.
func (x *exchange) quotaName() string {
	if !x.brokered() {
		return x.rec.Principal
	}
	return lengthPrefixed(string(x.identity.Method), x.identity.Issuer, x.rec.Principal)
}

// checkMember refuses a brokered request for an organization that the gateway's own
// connected app does not belong to: upstream would refuse the gateway, not the client.
func (x *exchange) checkMember() error {
	if !x.brokered() || x.identity.Member(x.op.Ref.Organization) {
		return nil
	}
	return refusal{
		code: record.CodeDenied, title: "Organization not served",
		detail: "the gateway's own connected app does not belong to this organization",
	}
}

// renewOwnToken handles an upstream 401 for the gateway's own token. It gets a new token
// for r and reports whether r has to be sent again: once, because a request refused
// with 401 was not processed.
func (a *attempts) renewOwnToken(r *http.Request, answer *http.Response) (again bool) {
	x := a.exchange
	if !x.brokered() || answer.StatusCode != http.StatusUnauthorized {
		return false
	}
	tokens := a.proxy.Brokering.Tokens
	tokens.Refused(x.location.Plane, x.token)
	if a.renewed || r.Body != nil && r.Body != http.NoBody && a.kept == nil {
		return false
	}
	a.renewed = true
	token, err := tokens.Token(r.Context(), x.location.Plane)
	if err != nil || a.proxy.chargeBudget(x) != nil {
		return false
	}
	x.token = token
	r.Header = maps.Clone(r.Header) // the transport may still read that of the previous attempt
	r.Header.Set("Authorization", token.Header())
	_, _ = io.CopyN(io.Discard, answer.Body, keptBody) // so that the connection can be reused
	_ = answer.Body.Close()
	if x.lease != nil {
		_ = x.lease.mark.Renew(r.Context()) // send detects a mark that was not renewed
	}
	return true
}

// judgeOwnToken applies an answer's status to the gateway's own token. It returns a
// refusal in place of an upstream 401 or 403, which is not about the client.
func (p *Proxy) judgeOwnToken(x *exchange, status int) error {
	if !x.brokered() {
		return nil
	}
	tokens, plane := p.Brokering.Tokens, x.location.Plane
	if status == http.StatusUnauthorized {
		return errOwnTokenRefused
	}
	tokens.Accepted(plane, x.token)
	if status == http.StatusForbidden {
		tokens.Forbidden(plane, broker.Place{Organization: x.op.Ref.Organization, Environment: x.op.Ref.Environment})
		return errOwnTokenForbidden
	}
	return nil
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
