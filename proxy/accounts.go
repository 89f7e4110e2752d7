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

// restrict bounds the body in bytes, and in time for all of it, even if it arrives
// steadily. It is called before the first read.
func (b *requestBody) restrict(w http.ResponseWriter, limit int64, within time.Duration) {
	b.bounded, b.limit = http.MaxBytesReader(w, b.raw, limit), limit
	b.within, b.until = within, time.Now().Add(within)
}

// tooManyFailures is the refusal of an address with too many failed identifications.
func tooManyFailures(wait time.Duration) refusal {
	return refusal{
		code: record.CodeOverQuota, detail: "too many failed identifications from this address",
		retryAfter: wait, violated: policyFailures,
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

// endCall ends a call that startCall permitted, once. Answer is the header of the
// plane's answer, nil if there was none.
func (p *Proxy) endCall(x *exchange, answer http.Header) {
	if x.usesAllowance {
		x.usesAllowance = false
		p.Allowances.EndCall(x.location.Plane, x.caller, answer)
	}
}
