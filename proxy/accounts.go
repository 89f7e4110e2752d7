package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/ratelimit"
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
	if err := p.checkCallCredential(x); err != nil {
		return err
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
		code: record.CodeOverQuota, detail: "too many failed identifications from this address",
		retryAfter: wait, violated: policyFailures,
	}
}

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

// Allowances keep a part of each control plane's allowance for identification.
// *[auth.Authenticator] is one. BeginCall returns 0 if a call of caller may be sent to plane
// now; then EndCall is called once when the call has ended, with the header of its
// answer or nil, which it does not keep. Otherwise BeginCall returns how long the caller
// has to wait. Neither method waits.
type Allowances interface {
	BeginCall(plane, caller string) (wait time.Duration)
	EndCall(plane, caller string, answer http.Header)
}

// CallCounts are the numbers of Access Management calls since the start, by result.
type CallCounts struct {
	Passed   int64 // sent to the control plane
	Token    int64 // refused: the token is over the rate
	Address  int64 // refused: the address, without a known token, is over the rate
	Reserved int64 // refused: the rest of the plane's allowance is reserved for identification
	Guessing int64 // refused: the address has failed too often
	Failed   int64 // not sent for another reason, such as two tokens, or the client closed its connection
}

// callCounts are the counters behind [CallCounts].
type callCounts struct{ passed, token, address, reserved, guessing, failed atomic.Int64 }

// CallCounts returns a snapshot. The counters are read one after another.
func (p *Proxy) CallCounts() CallCounts {
	n := &p.calls
	return CallCounts{
		Passed: n.passed.Load(), Token: n.token.Load(), Address: n.address.Load(),
		Reserved: n.reserved.Load(), Guessing: n.guessing.Load(), Failed: n.failed.Load(),
	}
}

// countRefusal counts a call that is refused with err.
func (n *callCounts) countRefusal(err error) {
	r, _ := errors.AsType[refusal](err)
	switch r.violated {
	case policyToken:
		n.token.Add(1)
	case policyAddress:
		n.address.Add(1)
	case policyPlane:
		n.reserved.Add(1)
	case policyFailures:
		n.guessing.Add(1)
	default:
		n.failed.Add(1)
	}
}

// caller returns the key that a call counts for: its token if the control plane has
// confirmed it, and its address otherwise. Any other token is chosen by the client: if
// it counted, a client with a new token for each call would never be over the rate.
func (p *Proxy) caller(x *exchange) (name, policy string) {
	if token, err := auth.ReadToken(x.r.Header); err == nil {
		if hash, known := p.Identity.Known(x.location.Plane, token); known {
			return auth.CallerOf(hash), policyToken
		}
	}
	return x.neighborhood(), policyAddress
}

// chargeCall takes a unit of the rate of Access Management calls, without waiting.
func (p *Proxy) chargeCall(x *exchange) error {
	name, policy := p.caller(x)
	x.caller = name
	if p.CallRate.Rate == 0 {
		return nil
	}
	r, err := p.CallLimiter.Take(x.r.Context(), ratelimit.Key("accounts", name), p.CallRate)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		return quotaUnavailable(err)
	case r.Allowed:
		return nil
	}
	source := "this token"
	if policy == policyAddress {
		source = "this address, without a confirmed token,"
	}
	return refusal{
		code: record.CodeOverQuota, retryAfter: r.RetryAfter, violated: policy,
		detail: fmt.Sprintf("%s exceeds %d Access Management calls a second", source, p.CallRate.Rate),
	}
}

// startCall lets a call go to its control plane, unless the rest of the plane's
// allowance is reserved for identification.
func (p *Proxy) startCall(x *exchange) error {
	if p.Allowances != nil {
		if wait := p.Allowances.BeginCall(x.location.Plane, x.caller); wait > 0 {
			return refusal{
				code: record.CodeOverQuota, retryAfter: wait, violated: policyPlane,
				detail: "the control plane " + x.location.Plane +
					" permits only a few more requests at the moment, and these are reserved for identification",
			}
		}
		x.usesAllowance = true
	}
	p.calls.passed.Add(1)
	return nil
}

// endCall ends a call that startCall permitted, once. Answer is the header of the
// plane's answer, nil if there was none.
func (p *Proxy) endCall(x *exchange, answer http.Header) {
	if x.usesAllowance {
		x.usesAllowance = false
		p.Allowances.EndCall(x.location.Plane, x.caller, answer)
	}
}
