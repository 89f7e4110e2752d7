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

// Allowances keep a part of each control plane's allowance for identification.
// *[auth.Authenticator] is one. BeginCall returns 0 if a call of caller may be sent to plane
// now; then EndCall is called once when the call has ended, with the header of its
// answer or nil. Otherwise BeginCall returns how long the caller has to wait. Neither method
// waits.
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
				detail: "the control plane " + x.location.Plane + " permits only a few more requests at the moment, and these are reserved for identification",
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
