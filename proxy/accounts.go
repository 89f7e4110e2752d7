package proxy

import (
	"net/http"
	"time"

	"osgate/auth"
)

// Bounds of an Access Management call, whose caller is never identified: the request holds
// credentials or a token.
const (
	callBytes  = 64 << 10
	callTime   = 10 * time.Second // for the whole request body
	answerTime = 30 * time.Second // for the client to take the whole answer
)

// admitCall refuses an Access Management call of an address that failed too often a moment ago: each is a chance to guess a secret or a token. It refuses
// a call that is over the rate too: all of them spend the allowance by which tokens are identified.
func (p *Proxy) admitCall(x *exchange) error {
	err := p.judgeCall(x)
	if err != nil {
		p.calls.refused(err)
	}
	return err
}

func (p *Proxy) judgeCall(x *exchange) error {
	if len(x.r.Header["Authorization"]) > 1 {
		return auth.ErrManyTokens
	}
	if wait := p.Guesses.Blocked(x.neighborhood()); wait > 0 {
		return guessing(wait)
	}
	if err := p.seatCall(x); err != nil {
		return err
	}
	return p.chargeCall(x)
}

// seatCall takes a slot for an Access Management call, a stranger's for as long as it lasts, and bounds what its client sends and takes, in bytes and
// in time.
func (p *Proxy) seatCall(x *exchange) error {
	limit := min(callBytes, p.MaxBody)
	if x.r.ContentLength > limit {
		return tooLarge(limit)
	}
	if err := p.occupy(x, stranger); err != nil {
		return err
	}
	x.body.restrict(x.w.ResponseWriter, limit, callTime)
	x.w.deadline.total = answerTime
	return nil
}

// guessing is what an address hears that guesses.
func guessing(wait time.Duration) refusal {
	return refusal{
		code: codeOverQuota, detail: "too many failed identifications from this address", retryAfter: wait, violated: policyFailures,
	}
}

// neighborhood names whom failures of x count against.
func (x *exchange) neighborhood() string { return neighborhood(x.client) }

// watch takes from the answer to an Access Management call what it means for us: a new token is worth asking about, a revoked one is known no longer,
// and a refusal may have been a guess.
func (p *Proxy) watch(x *exchange, answer *http.Response) {
	good := answer.StatusCode >= 200 && answer.StatusCode < 300
	switch {
	case failed(x.call, answer.StatusCode):
		p.Guesses.Failed(x.r.Context(), x.neighborhood())
	case good && x.call.Mints():
		x.reply.keep = make([]byte, 0, 1024)
		x.reply.ended = func(body []byte) { p.minted(x, body) }
	case good && x.call == auth.Revoke:
		p.revoked(x)
	}
}

// failed reports whether an answer of this status means that the call's credentials were wrong. A mint says so by 400 too ("invalid_grant", RFC 6749
// section 5.2), and a 403 of it is a user that is locked out.
func failed(call auth.Call, status int) bool {
	switch status {
	case http.StatusUnauthorized:
		return true
	case http.StatusBadRequest, http.StatusForbidden:
		return call.Mints()
	}
	return false
}

// minted starts the asking for a token that was minted through us. Its identity is asked of the control plane like any other's: what the mint's
// request said of the client is nobody's proof.
func (p *Proxy) minted(x *exchange, body []byte) {
	if token, ok := auth.MintedToken(body); ok {
		p.Identity.Warm(x.location.Plane, token)
	}
}

// revoked forgets the tokens that upstream has just revoked. That the body is read here proves nothing and needs to prove nothing: what is forgotten
// is asked again.
func (p *Proxy) revoked(x *exchange) {
	for _, token := range auth.RevokedTokens(x.r.Header.Get("Content-Type"), x.body.copied()) {
		p.Cache.Revoke(x.r.Context(), p.Identity.Forget(x.location.Plane, token))
	}
}
