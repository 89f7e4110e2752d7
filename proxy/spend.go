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

// spend waits until upstream may be asked, just before it is.
func (p *Proxy) spend(x *exchange) error {
	if x.call != 0 {
		err := p.pass(x)
		if err != nil {
			p.calls.refused(err)
		}
		return err
	}
	if !x.objectStore() {
		return nil
	}
	defer x.enter(record.StageForward)
	if err := p.stand(x); err != nil {
		return err
	}
	return p.payBudget(x)
}

// stand waits until upstream's own 429 has passed, and for the client's quota where only what reaches upstream counts.
func (p *Proxy) stand(x *exchange) error {
	x.enter(record.StageLimit)
	err := p.standBack(x)
	if err == nil && p.CountUpstream && !x.rec.Charged && x.rec.CausedBy == "" {
		err = p.charge(x.r.Context(), x)
	}
	return err
}

// payBudget takes the unit of the budget that a request of x costs.
func (p *Proxy) payBudget(x *exchange) error {
	ctx := x.r.Context()
	if x.rec.Degraded { // it has waited for Redis in vain: twice would be too long with a write's mark
		ctx = ratelimit.Lost(ctx)
	}
	waited, err := p.takeBudget(ctx, x.location, x.ref(), p.patience(x))
	x.rec.Waited += waited
	return err
}

// patience is how much longer x may wait for turns. From upstream's first 429 on all time counts, upstream's own too: what is refused again and again
// would else go on for ever.
func (p *Proxy) patience(x *exchange) time.Duration {
	spent := x.rec.Waited
	if x.pushedBack > 0 {
		spent = x.spentBefore + time.Since(x.pushedAt)
	}
	return max(0, p.MaxWait-spent)
}

// pushBack notes that upstream answered 429 at now.
func (x *exchange) pushBack(now time.Time) {
	if x.pushedBack == 0 {
		x.pushedAt, x.spentBefore = now, x.rec.Waited
	}
	x.pushedBack++
}

// standBack waits while upstream has told this client, or all behind this address, to come later.
func (p *Proxy) standBack(x *exchange) error {
	keys := []string{p.clientKey(x)}
	if p.Budget.Rate > 0 {
		keys = append(keys, p.budgetKey(x.location, x.ref()))
	}
	for _, key := range keys {
		waited, retryAfter, err := p.Pauses.Wait(x.r.Context(), key, p.patience(x))
		x.rec.Waited += waited
		if err != nil {
			return err
		}
		if retryAfter > 0 {
			return pushedBack(retryAfter)
		}
	}
	return nil
}

// pushedBack is what a client hears that upstream has told to come later.
func pushedBack(wait time.Duration) error {
	return refusal{code: codeOverQuota, detail: "Object Store refuses further requests at the moment", retryAfter: wait, violated: policyUpstream}
}

// takeBudget takes one unit of the budget for a request to a location, waiting its turn within a bound.
func (p *Proxy) takeBudget(ctx context.Context, l regionmap.Location, ref place, within time.Duration) (waited time.Duration, err error) {
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
		return waited, unlimitable(err)
	case !result.Allowed:
		return waited, refusal{
			code: codeOverBudget, retryAfter: result.RetryAfter, violated: policyBudget,
			detail: fmt.Sprintf("all clients together are over the budget of %d requests in %s", p.Budget.Rate, p.Budget.Period),
		}
	}
	return waited, nil
}

// unlimitable is what a client hears where nobody can say whether there is quota, and the operator chose to refuse then.
func unlimitable(err error) error {
	return refusal{
		code: codeOverloaded, title: "Quotas cannot be counted", detail: "quotas cannot be counted at the moment", cause: err,
		retryAfter: time.Second,
	}
}

// place is what of a request a budget may be counted by.
type place struct{ organization, environment, store string }

func (x *exchange) ref() place {
	return place{x.op.Ref.Organization, x.op.Ref.Environment, x.op.Ref.Store}
}

func (p *Proxy) budgetKey(l regionmap.Location, ref place) string {
	return ratelimit.BudgetKey(p.BudgetBy, l.Plane, ref.organization, ref.environment, l.Region, ref.store)
}

func (p *Proxy) clientKey(x *exchange) string {
	return ratelimit.Key(x.location.Plane, x.rec.Principal)
}

// pause notes that upstream answered 429, so that this client is not sent there again before the time, nor anybody where upstream names our address.
func (p *Proxy) pause(x *exchange, h http.Header, body []byte) {
	interval := x.interval()
	p.Pauses.Pause(p.clientKey(x), retryAfter(h, grown(interval, x.pushedBack)), interval)
	if p.Budget.Rate > 0 && namesAddress(body) {
		interval = p.Budget.Period / time.Duration(p.Budget.Rate)
		p.Pauses.Pause(p.budgetKey(x.location, x.ref()), retryAfter(h, interval), interval)
	}
}

// grown is the pause after the nth 429 of an exchange, where upstream names none: an interval, and twice as long each time, up to a second.
func grown(interval time.Duration, n int) time.Duration {
	longest := max(interval, time.Second)
	for ; n > 1 && interval < longest; n-- {
		interval *= 2
	}
	return min(interval, longest)
}

// vendorInterval is the time between two requests of Object Store's base rate, 10 a second.
const vendorInterval = 100 * time.Millisecond

// interval is the time between two requests of the client's quota, and of upstream's where it has none.
func (x *exchange) interval() time.Duration {
	if x.quota.Rate <= 0 {
		return vendorInterval
	}
	return x.quota.Period / time.Duration(x.quota.Rate)
}

// namesAddress reports whether a 429 says that an address is over its limit: "ip 192.0.2.1 can not perform more requests in this time window" is what
// Object Store has been seen to answer.
func namesAddress(body []byte) bool {
	words := strings.FieldsFunc(string(body), func(r rune) bool { return r == ' ' || r == '"' || r == ',' })
	for i, word := range words[:max(0, len(words)-1)] {
		if _, err := netip.ParseAddr(words[i+1]); err == nil && strings.EqualFold(word, "ip") {
			return true
		}
	}
	return false
}
