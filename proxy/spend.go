package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
)

// chargeUpstream waits until the request may be sent upstream, and charges it, just
// before it is sent.
func (p *Proxy) chargeUpstream(x *exchange) error {
	if x.call != 0 {
		err := p.startCall(x)
		if err != nil {
			p.calls.countRefusal(err)
		}
		return err
	}
	if !x.objectStore() {
		return nil
	}
	defer x.enter(record.StageForward)
	if err := p.awaitUpstream(x); err != nil {
		return err
	}
	return p.chargeBudget(x)
}

// awaitUpstream waits until the pause after upstream's own 429 is over, and takes a
// unit of the client's quota if only upstream requests count.
func (p *Proxy) awaitUpstream(x *exchange) error {
	x.enter(record.StageLimit)
	err := p.awaitPause(x)
	if err == nil && p.CountUpstream && !x.rec.Charged && x.rec.CausedBy == "" {
		err = p.charge(x.r.Context(), x)
	}
	return err
}

// chargeBudget takes the unit of the budget that a request of x costs.
func (p *Proxy) chargeBudget(x *exchange) error {
	ctx := x.r.Context()
	if x.rec.Degraded { // it has waited for Redis in vain: a second wait would be too long for the mark of a write
		ctx = ratelimit.WithoutPrimary(ctx)
	}
	waited, err := p.takeBudget(ctx, x.location, x.storeRef(), p.remainingWait(x))
	x.rec.Waited += waited
	return err
}

// remainingWait returns how much longer x may wait for turns. After upstream's first
// 429 all time counts, upstream's own too: otherwise a request that is refused again
// and again would never end.
func (p *Proxy) remainingWait(x *exchange) time.Duration {
	spent := x.rec.Waited
	if x.upstream429s > 0 {
		spent = x.waitedBefore429 + time.Since(x.first429At)
	}
	return max(0, p.MaxWait-spent)
}

// note429 records that upstream answered 429 at now.
func (x *exchange) note429(now time.Time) {
	if x.upstream429s == 0 {
		x.first429At, x.waitedBefore429 = now, x.rec.Waited
	}
	x.upstream429s++
}

// awaitPause waits for the end of the pauses that upstream has requested for this
// client, or for all clients of this gateway's address.
func (p *Proxy) awaitPause(x *exchange) error {
	keys := []string{p.clientKey(x)}
	if p.Budget.Rate > 0 {
		keys = append(keys, p.budgetKey(x.location, x.storeRef()))
	}
	for _, key := range keys {
		waited, retryAfter, err := p.Pauses.Wait(x.r.Context(), key, p.remainingWait(x))
		x.rec.Waited += waited
		if err != nil {
			return err
		}
		if retryAfter > 0 {
			return pausedByUpstream(retryAfter)
		}
	}
	return nil
}

// pausedByUpstream is the refusal of a client while upstream's pause lasts.
func pausedByUpstream(wait time.Duration) error {
	return refusal{code: record.CodeOverQuota, detail: "Object Store refuses further requests at the moment", retryAfter: wait, violated: policyUpstream}
}

// takeBudget takes one unit of the budget for a request to a location, and waits for
// its turn for a bounded time.
func (p *Proxy) takeBudget(ctx context.Context, l regionmap.Location, ref storeRef, within time.Duration) (waited time.Duration, err error) {
	if p.Budget.Rate == 0 {
		return 0, nil
	}
	result, waited, err := p.Limiter.TakeWithin(ctx, p.budgetKey(l, ref), p.Budget, within)
	if err == nil && p.Budgeted != nil {
		p.Budgeted(result.Allowed, result.Degraded, waited)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return waited, err
	case err != nil:
		return waited, quotaUnavailable(err)
	case !result.Allowed:
		return waited, refusal{
			code: record.CodeOverBudget, retryAfter: result.RetryAfter, violated: policyBudget,
			detail: fmt.Sprintf("all clients together are over the budget of %d requests in %s", p.Budget.Rate, p.Budget.Period),
		}
	}
	return waited, nil
}

// quotaUnavailable is the refusal if the quota cannot be determined and the
// configuration requires a refusal then.
func quotaUnavailable(err error) error {
	return refusal{
		code: record.CodeOverloaded, title: "Quotas cannot be counted", detail: "quotas cannot be counted at the moment", cause: err,
		retryAfter: time.Second,
	}
}

// storeRef is the part of a request by which a budget may be counted.
type storeRef struct{ organization, environment, store string }

func (x *exchange) storeRef() storeRef {
	return storeRef{x.op.Ref.Organization, x.op.Ref.Environment, x.op.Ref.Store}
}

func (p *Proxy) budgetKey(l regionmap.Location, ref storeRef) string {
	return ratelimit.BudgetKey(p.BudgetBy, l.Plane, ref.organization, ref.environment, l.Region, ref.store)
}

func (p *Proxy) clientKey(x *exchange) string {
	return ratelimit.Key(x.location.Plane, x.rec.Principal)
}

// pause records upstream's 429, so that no request of this client is sent there before
// the pause ends. If upstream's answer names our address, the pause is for all clients.
func (p *Proxy) pause(x *exchange, h http.Header, body []byte) {
	interval := x.interval()
	p.Pauses.Pause(p.clientKey(x), retryAfter(h, backoff(interval, x.upstream429s)), interval)
	if p.Budget.Rate > 0 && namesAddress(body) {
		interval = p.Budget.Period / time.Duration(p.Budget.Rate)
		p.Pauses.Pause(p.budgetKey(x.location, x.storeRef()), retryAfter(h, interval), interval)
	}
}

// backoff returns the pause after the nth 429 of an exchange if upstream names none: an
// interval, and twice as long each time, up to a second.
func backoff(interval time.Duration, n int) time.Duration {
	longest := max(interval, time.Second)
	for ; n > 1 && interval < longest; n-- {
		interval *= 2
	}
	return min(interval, longest)
}

// vendorInterval is the time between two requests at Object Store's base rate, 10 a
// second.
const vendorInterval = 100 * time.Millisecond

// interval returns the time between two requests at the client's quota, or at
// upstream's rate if it has no quota.
func (x *exchange) interval() time.Duration {
	if x.quota.Rate <= 0 {
		return vendorInterval
	}
	return x.quota.Period / time.Duration(x.quota.Rate)
}

// namesAddress reports whether a 429 is about an address that is over its limit. Object
// Store's observed answer is "ip 192.0.2.1 can not perform more requests in this time
// window".
func namesAddress(body []byte) bool {
	words := strings.FieldsFunc(string(body), func(r rune) bool { return r == ' ' || r == '"' || r == ',' })
	for i, word := range words[:max(0, len(words)-1)] {
		if _, err := netip.ParseAddr(words[i+1]); err == nil && strings.EqualFold(word, "ip") {
			return true
		}
	}
	return false
}
