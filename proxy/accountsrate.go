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
)

// Allowances keep a part of each control plane's allowance for identification.
// *[auth.Authenticator] is one. BeginCall returns 0 where a call of caller may go to plane now,
// and EndCall is called once when that call is over, with the header of its answer or nil;
// otherwise BeginCall returns how long the caller has to stay away. Neither waits.
type Allowances interface {
	BeginCall(plane, caller string) (wait time.Duration)
	EndCall(plane, caller string, answer http.Header)
}

// CallCounts are what became of Access Management calls since the start.
type CallCounts struct {
	Passed   int64 // sent to the control plane
	Token    int64 // refused: its token is over the rate
	Address  int64 // refused: its address, without a token that is known to be good, is over the rate
	Reserved int64 // refused: what is left of the plane's allowance is for identification
	Guessing int64 // refused: its address has failed too often
	Failed   int64 // not sent for another reason, such as two tokens or a client that left
}

// callCounts are the numbers behind CallCounts.
type callCounts struct{ passed, token, address, reserved, guessing, failed atomic.Int64 }

// CallCounts returns a snapshot. The numbers are not of one instant.
func (p *Proxy) CallCounts() CallCounts {
	n := &p.calls
	return CallCounts{
		Passed: n.passed.Load(), Token: n.token.Load(), Address: n.address.Load(),
		Reserved: n.reserved.Load(), Guessing: n.guessing.Load(), Failed: n.failed.Load(),
	}
}

// refused counts a call that is refused with r.
func (n *callCounts) refused(err error) {
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

// caller names whom a call counts for: its token where the control plane has named whose
// that is, and else its address. Any other token is what its sender chose, and a new one
// with each call would never be over a rate.
func (p *Proxy) caller(x *exchange) (name, policy string) {
	if token, err := auth.ReadToken(x.r.Header); err == nil {
		if hash, known := p.Identity.Known(x.location.Plane, token); known {
			return auth.CallerOf(hash), policyToken
		}
	}
	return x.neighborhood(), policyAddress
}

// chargeCall takes a unit of the rate of Access Management calls, and never waits for one.
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
		return unlimitable(err)
	case r.Allowed:
		return nil
	}
	who := "this token is"
	if policy == policyAddress {
		who = "this address, without a token that is known to be good, is"
	}
	return refusal{
		code: codeOverQuota, retryAfter: r.RetryAfter, violated: policy,
		detail: fmt.Sprintf("%s over %d Access Management calls a second", who, p.CallRate.Rate),
	}
}

// pass lets a call go to its control plane, unless what is left of the plane's allowance is
// reserved for identification.
func (p *Proxy) pass(x *exchange) error {
	if p.Allowances != nil {
		if wait := p.Allowances.BeginCall(x.location.Plane, x.caller); wait > 0 {
			return refusal{
				code: codeOverQuota, retryAfter: wait, violated: policyPlane,
				detail: "the control plane " + x.location.Plane + " answers few more requests at the moment, and these are kept for identification",
			}
		}
		x.passing = true
	}
	p.calls.passed.Add(1)
	return nil
}

// passed ends a call that pass let go, once. Answer is the header of the plane's answer,
// nil where there was none.
func (p *Proxy) passed(x *exchange, answer http.Header) {
	if x.passing {
		x.passing = false
		p.Allowances.EndCall(x.location.Plane, x.caller, answer)
	}
}
