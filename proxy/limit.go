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

// limit takes one unit of the client's quota for an Object Store operation, waiting for its turn as configured. What the cache has to know for a read
// travels in the same round trip. Where only what reaches upstream counts, spend does it.
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

// charge takes one unit of the client's quota, waiting for its turn.
func (p *Proxy) charge(ctx context.Context, x *exchange) error {
	quota := p.Quota(x.rec.Principal)
	if quota.Rate == 0 {
		return nil
	}
	x.quota = quota
	result, waited, err := p.Limiter.TakeWithin(ctx, p.clientKey(x), quota, p.patience(x))
	x.rec.Waited += waited
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		return unlimitable(err)
	}
	x.result, x.rec.Charged, x.rec.Degraded = result, true, result.Degraded
	x.rec.Quota, x.rec.QuotaPeriod, x.rec.QuotaFull, x.rec.Remaining = quota.Rate, quota.Period, full(quota), result.Remaining
	if !result.Allowed {
		return refusal{
			code: codeOverQuota, retryAfter: result.RetryAfter, violated: policyClient,
			detail: fmt.Sprintf("the client is over its quota of %d requests in %s", quota.Rate, quota.Period),
		}
	}
	return nil
}

// limitHeaders writes the quota as it is now, in the form of IETF draft-ietf-httpapi-ratelimit-headers-10 and in the one that Anypoint's own
// APIs have (X-RateLimit-Reset in epoch seconds). The draft has whole seconds only, so all are rounded up.
func (x *exchange) limitHeaders(h http.Header) {
	if !x.rec.Charged {
		return
	}
	more := x.result.RetryAfter
	switch {
	case more > 0 || x.result.Remaining >= full(x.quota):
	case x.quota.Algorithm == ratelimit.AlgorithmWindow: // units come back when their periods are over
		more = x.result.ResetAfter
	default:
		more = x.quota.Period / time.Duration(x.quota.Rate)
	}
	remaining := strconv.Itoa(x.result.Remaining)
	limit := strconv.Itoa(x.quota.Rate)
	// Set without net/http's canonicalization, which these names have already: it is on the path of every hit.
	h["Ratelimit-Policy"] = []string{`"` + policyClient + `";q=` + limit + `;w=` + strconv.FormatInt(max(1, seconds(x.quota.Period)), 10)}
	h["Ratelimit"] = []string{`"` + policyClient + `";r=` + remaining + `;t=` + strconv.FormatInt(seconds(more), 10)}
	h["X-Ratelimit-Limit"] = []string{limit}
	h["X-Ratelimit-Remaining"] = []string{remaining}
	h["X-Ratelimit-Reset"] = []string{strconv.FormatInt(ceilUnix(time.Now().Add(x.result.ResetAfter)), 10)}
}

// full is what remains of q where nothing was asked for long.
func full(q ratelimit.Quota) int {
	if q.Algorithm == ratelimit.AlgorithmWindow {
		return q.Rate
	}
	return q.Burst
}

// seconds rounds d up to whole seconds. The microseconds by which limiters are careful make no second of their own: whoever waits sleeps and sends no
// more exactly than that.
func seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return max(1, int64(math.Ceil((d - time.Millisecond).Seconds())))
}

func ceilUnix(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }
