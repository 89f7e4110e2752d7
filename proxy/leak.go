package proxy

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"osgate/auth"
	"osgate/cache"
	"osgate/record"
)

// A client's credential without Anypoint ends at the gateway. What goes upstream and
// could contain it is checked here: Authorization of an Access Management call, the
// query, the headers of the allow list, and the body of an Access Management call.
// Values, keys and names are data of the client, and are not searched.

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

// checkCallCredential refuses an Access Management call whose Authorization is no
// Anypoint token: Anypoint could not use it, and it must not be sent there. It removes
// the headers of client certificates.
func (p *Proxy) checkCallCredential(x *exchange) error {
	if p.Brokering == nil {
		return nil
	}
	if p.Brokering.Certificate != nil {
		_, _ = p.Brokering.Certificate(x.r) // the call needs none, so an invalid one is no error
	}
	token, err := auth.ReadToken(x.r.Header)
	switch {
	case errors.Is(err, auth.ErrNoToken):
		return p.checkOtherScheme(x)
	case err != nil: // for example a JWT that is too long
		return p.refuseCredential(err)
	}
	_, _, handled := p.Brokering.Broker.Recall(
		x.r.Context(), x.location.Plane, auth.Credential{Token: token}, x.neighborhood())
	if handled || p.leaks(token.Text()) {
		return errForeignCall
	}
	return nil
}

// checkOtherScheme refuses a call whose Authorization is neither a bearer token nor the
// id and secret of an app (RFC 7617). A JWT without the word Bearer, for example, is
// neither.
func (p *Proxy) checkOtherScheme(x *exchange) error {
	if len(x.r.Header["Authorization"]) == 0 {
		return nil // a call needs no token
	}
	id, secret, ok := x.r.BasicAuth()
	if !ok || p.leaks(id) || p.leaks(secret) {
		return errForeignCall
	}
	return nil
}

// checkLeaks refuses a request that would send a client's own credential upstream in
// its query, in a header, or in the body of an Access Management call. Such a body is
// read to its end first.
func (p *Proxy) checkLeaks(x *exchange) error {
	if p.Brokering == nil || p.Brokering.Contains == nil {
		return nil
	}
	if p.leaks(x.query) || p.leaksInHeaders(x) {
		return errLeak
	}
	if x.call == 0 || x.r.ContentLength == 0 {
		return nil
	}
	body, _ := x.body.peek(callBytes + 1) // which boundCall does not allow
	if err := x.body.failure(); err != nil {
		return err
	}
	if p.leaks(string(body)) {
		return errLeak
	}
	return nil
}

// leaksInHeaders reports whether a header that goes upstream contains a credential. The
// client's Authorization is not one of them, or was checked before.
func (p *Proxy) leaksInHeaders(x *exchange) bool {
	for name, values := range x.r.Header {
		sent := slices.Contains(toUpstream, name) || strings.HasPrefix(name, cache.ChoosingPrefix) || name == "Via"
		if sent && slices.ContainsFunc(values, p.leaks) {
			return true
		}
	}
	return false
}

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
