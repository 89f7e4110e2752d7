package proxy

import (
	"net/http"
	"time"

	"osgate/auth"
	"osgate/record"
)

// Bounds of an Access Management call. Its client is never identified: the request
// holds credentials or a token.
const (
	callBytes      = 64 << 10
	callBodyTime   = 10 * time.Second // for the whole request body
	callAnswerTime = 30 * time.Second // for the client to take the whole answer
)

// admitCall refuses an Access Management call from an address that failed too often
// recently: each call is a chance to guess a secret or a token. It also refuses a call
// over the rate, because every call uses the allowance that identifies tokens.
func (p *Proxy) admitCall(x *exchange) error {
	err := p.checkCall(x)
	if err != nil {
		p.calls.countRefusal(err)
	}
	return err
}

func (p *Proxy) checkCall(x *exchange) error {
	if len(x.r.Header["Authorization"]) > 1 {
		return auth.ErrManyTokens
	}
	if wait := p.Guesses.Blocked(x.neighborhood()); wait > 0 {
		return tooManyFailures(wait)
	}
	if err := p.boundCall(x); err != nil {
		return err
	}
	return p.chargeCall(x)
}

// boundCall takes a slot of the class unidentified for an Access Management call, and
// bounds the bytes and the time of its request body and the time of its answer.
func (p *Proxy) boundCall(x *exchange) error {
	limit := min(callBytes, p.MaxBody)
	if x.r.ContentLength > limit {
		return tooLarge(limit)
	}
	if err := p.takeSlot(x, unidentified); err != nil {
		return err
	}
	x.body.restrict(x.w.ResponseWriter, limit, callBodyTime)
	x.w.deadline.total = callAnswerTime
	return nil
}

// tooManyFailures is the refusal of an address with too many failed identifications.
func tooManyFailures(wait time.Duration) refusal {
	return refusal{
		code: record.CodeOverQuota, detail: "too many failed identifications from this address", retryAfter: wait, violated: policyFailures,
	}
}

// neighborhood returns the key under which failures of x's client are counted.
func (x *exchange) neighborhood() string { return neighborhood(x.client) }

// handleCallAnswer applies the result of an Access Management call: a new token is
// identified ahead, a revoked token is forgotten, and a refusal may have been a guess.
func (p *Proxy) handleCallAnswer(x *exchange, answer *http.Response) {
	good := answer.StatusCode >= 200 && answer.StatusCode < 300
	switch {
	case failed(x.call, answer.StatusCode):
		p.Guesses.Failed(x.r.Context(), x.neighborhood())
	case good && x.call.Mints():
		x.reply.keep = make([]byte, 0, 1024)
		x.reply.ended = func(body []byte) { p.warmMinted(x, body) }
	case good && x.call == auth.Revoke:
		p.forgetRevoked(x)
	}
}

// failed reports whether an answer with this status means that the call's credentials
// were wrong. A mint also answers 400 for that ("invalid_grant", RFC 6749 section 5.2),
// and 403 if the user is locked out.
func failed(call auth.Call, status int) bool {
	switch status {
	case http.StatusUnauthorized:
		return true
	case http.StatusBadRequest, http.StatusForbidden:
		return call.Mints()
	}
	return false
}

// warmMinted starts to identify a token that was minted through the gateway. Its
// identity comes from the control plane, as for any other token: the client ID in the
// mint's request is no proof.
func (p *Proxy) warmMinted(x *exchange, body []byte) {
	if token, ok := auth.MintedToken(body); ok {
		p.Identity.Warm(x.location.Plane, token)
	}
}

// forgetRevoked forgets the tokens that upstream has just revoked. The body is only
// read, not verified, and need not be: a forgotten token is validated again.
func (p *Proxy) forgetRevoked(x *exchange) {
	for _, token := range auth.RevokedTokens(x.r.Header.Get("Content-Type"), x.body.copied()) {
		p.Cache.Revoke(x.r.Context(), p.Identity.Forget(x.location.Plane, token))
	}
}
