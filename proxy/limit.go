package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
)

// limit takes one unit of the client's quota for an Object Store operation, and waits
// for its turn as configured. The cache's read of generations travels in the same round
// trip. If only upstream requests count, chargeUpstream takes the unit instead.
func (p *Proxy) limit(x *exchange) error {
	x.enter(record.StageLimit)
	if !x.objectStore() {
		return nil
	}
	ctx := p.prepare(x)
	if p.CountUpstream {
		return nil
	}
	return p.charge(ctx, x)
}

// charge takes one unit of the client's quota, and waits for its turn.
func (p *Proxy) charge(ctx context.Context, x *exchange) error {
	quota := p.Quota(x.rec.Principal)
	if quota.Rate == 0 {
		return nil
	}
	x.quota = quota
	result, waited, err := p.Limiter.TakeWithin(ctx, p.clientKey(x), quota, p.remainingWait(x))
	x.rec.Waited += waited
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		return quotaUnavailable(err)
	}
	x.result, x.rec.Charged, x.rec.Degraded = result, true, result.Degraded
	x.rec.Quota, x.rec.QuotaPeriod, x.rec.QuotaFull, x.rec.Remaining =
		quota.Rate, quota.Period, maxRemaining(quota), result.Remaining
	if !result.Allowed {
		return refusal{
			code: record.CodeOverQuota, retryAfter: result.RetryAfter, violated: policyClient,
			detail: fmt.Sprintf("the client is over its quota of %d requests in %s", quota.Rate, quota.Period),
		}
	}
	return nil
}

// maxRemaining returns the number of units that remain of q after a long time without a
// request.
func maxRemaining(q ratelimit.Quota) int {
	if q.Algorithm == ratelimit.AlgorithmWindow {
		return q.Rate
	}
	return q.Burst
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
	return refusal{
		code: record.CodeOverQuota, detail: "Object Store refuses further requests at the moment",
		retryAfter: wait, violated: policyUpstream,
	}
}

// takeBudget takes one unit of the budget for a request to a location, and waits for
// its turn for a bounded time.
func (p *Proxy) takeBudget(
	ctx context.Context, l regionmap.Location, ref storeRef, within time.Duration,
) (waited time.Duration, err error) {
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
			detail: fmt.Sprintf("all clients together are over the budget of %d requests in %s",
				p.Budget.Rate, p.Budget.Period),
		}
	}
	return waited, nil
}

// quotaUnavailable is the refusal if the quota cannot be determined and the
// configuration requires a refusal then.
func quotaUnavailable(err error) error {
	return refusal{
		code: record.CodeOverloaded, title: "Quotas cannot be counted",
		detail: "quotas cannot be counted at the moment", cause: err, retryAfter: time.Second,
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

// clientKey returns the key of the client's quota. It is called after identify.
func (p *Proxy) clientKey(x *exchange) string {
	if x.quotaKey == "" {
		x.quotaKey = ratelimit.Key(x.location.Plane, x.quotaName())
	}
	return x.quotaKey
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

// seconds rounds d up to whole seconds. The microseconds that limiters add for safety
// do not count as another second: a client waits for exactly the seconds that it is
// sent.
func seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return max(1, int64(math.Ceil((d - time.Millisecond).Seconds())))
}
