package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"osgate/ratelimit"
	"osgate/record"
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
	x.rec.Quota, x.rec.QuotaPeriod, x.rec.QuotaFull, x.rec.Remaining = quota.Rate, quota.Period, maxRemaining(quota), result.Remaining
	if !result.Allowed {
		return refusal{
			code: record.CodeOverQuota, retryAfter: result.RetryAfter, violated: policyClient,
			detail: fmt.Sprintf("the client is over its quota of %d requests in %s", quota.Rate, quota.Period),
		}
	}
	return nil
}

// limitHeaders writes the state of the quota, in the form of IETF
// draft-ietf-httpapi-ratelimit-headers-10 and in that of Anypoint's own APIs
// (X-RateLimit-Reset in epoch seconds). The draft has whole seconds only, so all values
// are rounded up.
func (x *exchange) limitHeaders(h http.Header) {
	if !x.rec.Charged {
		return
	}
	units, window := advertised(x.quota)
	remaining := strconv.Itoa(x.result.Remaining)
	limit := strconv.FormatInt(units, 10)
	// These names are in net/http's canonical form already. Not to canonicalize them
	// again saves time on every hit.
	h["Ratelimit-Policy"] = []string{`"` + policyClient + `";q=` + limit + `;w=` + strconv.FormatInt(window, 10)}
	h["Ratelimit"] = []string{`"` + policyClient + `";r=` + remaining + `;t=` + strconv.FormatInt(seconds(x.result.MoreAfter), 10)}
	h["X-Ratelimit-Limit"] = []string{limit}
	h["X-Ratelimit-Remaining"] = []string{remaining}
	h["X-Ratelimit-Reset"] = []string{strconv.FormatInt(ceilUnix(time.Now().Add(x.result.ResetAfter)), 10)}
}

// advertised returns q in the form of the draft: units in a number of whole seconds.
// Units is at least the largest possible number of remaining units, and the rate is
// that of q, or less by a part of a unit.
func advertised(q ratelimit.Quota) (units, window int64) {
	window = max(1, int64((q.Period+time.Second-1)/time.Second))
	units = int64(q.Rate) * window * int64(time.Second) / int64(q.Period)
	if most := int64(maxRemaining(q)); units < most {
		times := (most + units - 1) / units
		return units * times, window * times
	}
	return units, window
}

// maxRemaining returns the number of units that remain of q after a long time without a
// request.
func maxRemaining(q ratelimit.Quota) int {
	if q.Algorithm == ratelimit.AlgorithmWindow {
		return q.Rate
	}
	return q.Burst
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

func ceilUnix(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }
