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

// limit takes one unit of the client's quota for an Object Store operation, waiting for its turn as configured.
func (p *Proxy) limit(x *exchange) error {
	x.enter(record.StageLimit)
	quota := p.Quota(x.rec.Principal)
	if !x.objectStore() || quota.Rate == 0 {
		return nil
	}
	x.quota = quota
	result, waited, err := p.Limiter.Take(x.r.Context(), ratelimit.Key(x.location.Plane, x.rec.Principal), quota)
	x.rec.Waited = waited
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		return refusal{code: codeOverloaded, detail: "quotas cannot be counted at the moment", cause: err, retryAfter: time.Second}
	}
	x.result, x.rec.Charged, x.rec.Degraded = result, true, result.Degraded
	if !result.Allowed {
		return refusal{
			code:       codeOverQuota,
			detail:     fmt.Sprintf("the client is over its quota of %d requests in %s", quota.Rate, quota.Period),
			retryAfter: result.RetryAfter,
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
	if x.result.Remaining < x.quota.Burst && more <= 0 {
		more = x.quota.Period / time.Duration(x.quota.Rate)
	}
	remaining := strconv.Itoa(x.result.Remaining)
	limit := strconv.Itoa(x.quota.Rate)
	// Set without net/http's canonicalization, which these names have already: it is on the path of every hit.
	h["Ratelimit-Policy"] = []string{`"client";q=` + limit + `;w=` + strconv.FormatInt(max(1, seconds(x.quota.Period)), 10)}
	h["Ratelimit"] = []string{`"client";r=` + remaining + `;t=` + strconv.FormatInt(seconds(more), 10)}
	h["X-Ratelimit-Limit"] = []string{limit}
	h["X-Ratelimit-Remaining"] = []string{remaining}
	h["X-Ratelimit-Reset"] = []string{strconv.FormatInt(ceilUnix(time.Now().Add(x.result.ResetAfter)), 10)}
}

// seconds rounds d up to whole seconds.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

func ceilUnix(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }
