package gateway

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"osgate/admin"
	"osgate/auth"
	"osgate/auth/broker"
	"osgate/auth/clientcert"
	"osgate/auth/oidc"
	"osgate/config"
	"osgate/internal/watch"
	"osgate/proxy"
)

// brokering holds the parts that serve clients without an Anypoint credential. A nil
// *brokering is a gateway whose clients all have one.
type brokering struct {
	tokens       *broker.Tokens
	identifier   *broker.Identifier
	issuers      *oidc.Verifier       // nil: no JWT identifies a client
	certificates *clientcert.Verifier // nil: no certificate does
}

// makeBrokering makes the parts that [config.Methods] demand.
func (p *parts) makeBrokering(transport proxy.Transport, guard auth.Guard) (err error) {
	c := p.config
	if !c.Auth.Methods.Broker() {
		return nil
	}
	b := &brokering{}
	if c.Auth.Methods.Has(string(auth.ByJWT)) {
		if b.issuers, err = openIssuers(c, transport, p.issuerChanged); err != nil {
			return err
		}
		p.close = append(p.close, func() error { b.issuers.Close(); return nil })
	}
	if c.Auth.Methods.Has(string(auth.ByMTLS)) {
		if b.certificates, err = p.openClientCertificates(); err != nil {
			return err
		}
	}
	b.tokens, err = broker.NewTokens(broker.Options{
		Endpoint: Endpoint(c), ClientID: c.Upstream.ClientID, Secret: secretOf(c), Transport: transport.Shared,
		OnChange: p.ownTokenChanged,
	})
	if err != nil {
		return fmt.Errorf("making the gateway's own tokens: %w", err)
	}
	p.close = append(p.close, func() error { b.tokens.Close(); return nil })
	b.identifier, err = broker.NewIdentifier(broker.IdentifierOptions{
		Methods: b.methods(c.Auth.Methods), Tokens: b.tokens, Directory: p.auth, Guard: guard,
	})
	if err != nil {
		return fmt.Errorf("reading OSGATE_AUTH: %w", err)
	}
	p.close = append(p.close, func() error { b.identifier.Close(); return nil })
	p.brokering = b
	return nil
}

// Issuers makes the verifier of JWTs that c describes, without a gateway. The caller
// must close it.
func Issuers(c config.Config) (*oidc.Verifier, error) {
	transport, err := Transport(c)
	if err != nil {
		return nil, err
	}
	return openIssuers(c, transport, nil)
}

// openIssuers makes the verifier of JWTs.
func openIssuers(c config.Config, transport proxy.Transport, changed func(oidc.IssuerState)) (*oidc.Verifier, error) {
	o := oidc.Options{
		Audience: c.Auth.Audience, ClientClaims: c.Auth.ClientClaim, Transport: transport.Shared, Secret: c.Key(),
		OnChange: changed,
	}
	for _, i := range c.Auth.Issuers {
		o.Issuers = append(o.Issuers, oidc.Issuer{URL: i.URL, JWKS: i.Keys})
	}
	v, err := oidc.New(o)
	if err != nil {
		return nil, fmt.Errorf("reading OSGATE_AUTH_ISSUERS: %w", err)
	}
	return v, nil
}

// openClientCertificates makes the verifier of client certificates.
func (p *parts) openClientCertificates() (*clientcert.Verifier, error) {
	c := p.config
	v, err := clientcert.New(clientcert.Options{
		CAFile: c.TLS.ClientCA, CRLFile: c.TLS.ClientCRL, Header: c.Auth.MTLSHeader, Trusted: c.Server.TrustedProxies,
		Secret: c.Key(), Rest: watch.Rest, OnChange: p.clientCertificatesChanged,
	})
	if err != nil {
		return nil, fmt.Errorf("reading OSGATE_TLS_CLIENT_CA and OSGATE_TLS_CLIENT_CRL: %w", err)
	}
	return v, nil
}

// secretOf returns a function that reads the secret of the gateway's own connected app:
// again each time if it is in a file.
func secretOf(c config.Config) func() (string, error) {
	path := c.FileOf("UPSTREAM_CLIENT_SECRET")
	if path == "" {
		return func() (string, error) { return c.Upstream.ClientSecret.Reveal(), nil }
	}
	return func() (string, error) {
		secret, err := config.ReadSecret(path)
		if err != nil {
			return "", fmt.Errorf("reading OSGATE_UPSTREAM_CLIENT_SECRET_FILE: %w", err)
		}
		return secret.Reveal(), nil
	}
}

// methods returns the methods in their order; nil is Anypoint's.
func (b *brokering) methods(names config.Methods) (all []broker.Method) {
	for _, name := range names {
		switch auth.Method(name) {
		case auth.ByJWT:
			all = append(all, broker.Bearer(b.issuers))
		case auth.ByMTLS:
			all = append(all, b.certificates)
		default:
			all = append(all, nil)
		}
	}
	return all
}

// clientAuth returns whether clients must present a certificate if there is a client
// CA. They must not if another method may identify them, or if a proxy ends TLS and
// sends their certificates in a header.
func clientAuth(c config.Config) tls.ClientAuthType {
	optional := c.Auth.Methods.Has(string(auth.ByMTLS)) && (len(c.Auth.Methods) > 1 || c.Auth.MTLSHeader != "")
	if optional {
		return tls.VerifyClientCertIfGiven
	}
	return tls.RequireAndVerifyClientCert
}

// ownTokenChanged logs one line for a change of the gateway's own credential.
func (p *parts) ownTokenChanged(s broker.State) {
	switch {
	case s.Good():
		p.logger.Info("the gateway's own Anypoint token works again", "plane", s.Plane)
	case s.OK && s.Reason == "":
		p.logger.Warn("the gateway's own connected app gets 403 from Object Store", "plane", s.Plane,
			"environments", placesText(s.Forbidden))
	default:
		p.logger.Warn("the gateway's own Anypoint credential does not work", "plane", s.Plane,
			"reason", string(s.Reason), "cause", s.LastError)
	}
}

// issuerChanged logs one line for a change of an issuer's state.
func (p *parts) issuerChanged(s oidc.IssuerState) {
	if s.Reachable {
		p.logger.Info("an issuer is reachable again", "issuer", s.Issuer)
		return
	}
	p.logger.Warn("the keys of an issuer cannot be fetched; known keys stay in use",
		"issuer", s.Issuer, "cause", s.LastError)
}

// clientCertificatesChanged logs one line for a change of the files for client
// certificates.
func (p *parts) clientCertificatesChanged(s clientcert.State) {
	if s.Err != nil {
		p.logger.Warn("the changed authorities or revocation lists of client certificates are invalid; "+
			"the former ones stay in force", "cause", s.Err.Error())
		return
	}
	p.logger.Info("authorities and revocation lists of client certificates reloaded",
		"authorities", s.Authorities, "revoked", s.Revoked)
}

// The names of the parts of brokering in /readyz and in metrics.
const (
	ownPart          = "own credential "
	ownRightsPart    = "own rights "
	issuerPart       = "issuer "
	certificatesPart = "client certificates"
)

// fault is the state of a part of brokering.
type fault struct {
	part, name string // as in the metric
	reason     admin.Reason
	present    bool
}

// faults returns the states of all parts at now.
func (b *brokering) faults(now time.Time) (all []fault) {
	if b == nil {
		return nil
	}
	for _, s := range b.tokens.States() {
		all = append(all, fault{"credential", s.Plane,
			admin.Reason{Part: ownPart + s.Plane, Detail: faultDetails[s.Reason]}, s.Reason != ""},
			fault{"rights", s.Plane, admin.Reason{Part: ownRightsPart + s.Plane, Detail: forbiddenDetail(s.Forbidden)},
				len(s.Forbidden) > 0})
	}
	if b.issuers != nil {
		for _, s := range b.issuers.States() {
			all = append(all, fault{"issuer", s.Issuer, admin.Reason{
				Part: issuerPart + s.Issuer,
				Detail: "its keys cannot be fetched: tokens with known keys are accepted, others are refused " +
					"(503 identity-unavailable)",
			}, !s.Reachable})
		}
	}
	if b.certificates != nil {
		detail := b.certificates.State().Degraded(now)
		all = append(all, fault{"certificates", "", admin.Reason{Part: certificatesPart, Detail: detail}, detail != ""})
	}
	return all
}

// reasons returns what works with restrictions at now.
func (b *brokering) reasons(now time.Time) (all []admin.Reason) {
	for _, f := range b.faults(now) {
		if f.present {
			all = append(all, f.reason)
		}
	}
	return all
}

// report reports the parts and whether each has a fault.
func (b *brokering) report(report func(part, name string, present bool)) {
	for _, f := range b.faults(time.Now()) {
		report(f.part, f.name, f.present)
	}
}

// faultDetails describe the consequences of a credential that does not work.
var faultDetails = map[broker.Reason]string{
	broker.Unavailable: "the token endpoint does not answer: the present token is used to its end, " +
		"then requests are refused (503 identity-unavailable)",
	broker.ClientRefused: "Anypoint refuses the connected app or its secret: see the log and OSGATE_UPSTREAM_CLIENT_SECRET; " +
		"without a token requests are refused (502 upstream-credential)",
	broker.TokenRefused: "Object Store refuses new tokens (401): requests are refused (502 upstream-credential)",
}

// forbiddenDetail describes the consequences of rights that are missing at all.
func forbiddenDetail(all []broker.Place) string {
	return "Object Store answered 403 in the last five minutes: the connected app lacks a scope or the environment; " +
		"such requests are refused (502 upstream-credential): " + placesText(all)
}

// placesText names places. Clients chose the ids: those that are no ids are left out.
func placesText(all []broker.Place) string {
	var names []string
	for _, at := range all {
		names = append(names, idText(at.Organization)+"/"+idText(at.Environment))
	}
	return strings.Join(names, ", ")
}

// maxID limits an id that is printed in bytes. Anypoint's ids have 36.
const maxID = 64

func idText(id string) string {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	if len(id) > maxID || strings.ContainsFunc(id, odd) {
		return "(no id)"
	}
	return id
}

// notes returns the consequences of c that may surprise an operator.
func (b *brokering) notes(c config.Config) (all []string) {
	if b == nil {
		return nil
	}
	if !c.Given("BUDGET") {
		all = append(all, fmt.Sprintf("Object Store sees one client ID for all jwt and mtls clients: OSGATE_BUDGET is not "+
			"set, and %d requests a second are sent at most; set it to your limit", budgetLimit(c)))
	}
	if len(c.Auth.Issuers) > 1 || len(c.Auth.Methods) > 1 {
		all = append(all, "clients are identified in several ways: two of them may name different clients alike; "+
			"rules of the policy distinguish them by context.identifiedBy and context.issuer")
	}
	return all
}
