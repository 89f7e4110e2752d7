package auth

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// verdict is the answer of a control plane about a token: a yes, a no, or unclear.
type verdict struct {
	principal *Principal        // set for a yes
	unclear   *UnavailableError // set for an unclear answer
	// at is when the lookup of a yes began, since a right may end while the answer is
	// on its way. For other verdicts it is when the answer arrived.
	at time.Time

	// Ages, counted from at:
	life time.Duration // how long the verdict is fresh
	end  time.Duration // of a yes, how long it allows forwarding while the plane is down
	// renewal is the age of a yes, in nanoseconds, from which its next use starts a
	// lookup ahead of its end.
	renewal atomic.Int64
	// backoff is the age up to which a yes causes no lookup, because the last answer
	// was unclear. Guarded by the Authenticator's mu.
	backoff time.Duration

	weight uint32 // approximate size in bytes
}

// The part of a verdict's life after which it is renewed, at random in between, so that
// tokens learned together, as after a start, are not renewed together.
const (
	renewFrom = 70 // percent
	renewTo   = 90
)

// yes returns the verdict of a lookup that named p and began at the given time. It ends
// no later than the token.
func (a *Authenticator) yes(p *Principal, at time.Time) *verdict {
	v := &verdict{principal: p, at: at, life: a.options.TTL, end: a.options.TTL + a.options.Stale}
	if !p.Expires.IsZero() {
		left := max(0, p.Expires.Sub(at))
		v.life, v.end = min(v.life, left), min(v.end, left)
	}
	from := v.life / 100 * renewFrom
	spread := v.life / 100 * (renewTo - renewFrom)
	v.renewal.Store(int64(from + rand.N(spread+1))) //nolint:gosec // spreads load, guards nothing
	v.weight = weigh(p)
	return v
}

// no returns the verdict of a lookup that ended now in a refusal.
func (a *Authenticator) no(now time.Time) *verdict {
	return &verdict{at: now, life: a.options.NegativeTTL, weight: weigh(nil)}
}

// unclear returns the verdict of a lookup that ended now in an answer that decides
// nothing.
func (a *Authenticator) unclear(failure *UnavailableError, now time.Time) *verdict {
	const cause = 512 // approximate size in bytes: statuses, hosts and fixed texts
	return &verdict{unclear: failure, at: now, life: a.options.NegativeTTL, weight: weigh(nil) + cause}
}

// err returns the error for callers of a verdict that names no principal.
func (v *verdict) err(now time.Time) error {
	if v.unclear == nil {
		return ErrBadToken
	}
	failure := *v.unclear
	failure.RetryAfter = max(failure.RetryAfter, v.life-now.Sub(v.at), minInterval)
	return &failure
}

func (v *verdict) fresh(now time.Time) bool { return now.Sub(v.at) < v.life }

// usable reports whether v allows forwarding while the plane is down.
func (v *verdict) usable(now time.Time) bool { return v.principal != nil && now.Sub(v.at) < v.end }

// claim reports whether v is due for renewal at age. It returns true to one caller
// only, and to the next one at the earliest an interval later.
func (v *verdict) claim(age time.Duration) bool {
	due := v.renewal.Load()
	return int64(age) >= due && v.renewal.CompareAndSwap(due, int64(age+max(minInterval, v.life/20)))
}

// weigh returns the approximate size in bytes of a verdict that names p, with its entry
// in the cache.
func weigh(p *Principal) uint32 {
	const (
		entry  = 320 // key, verdict, and the cache's own node and table
		header = 16  // of a string
	)
	if p == nil {
		return entry
	}
	bytes := entry + 160 + len(p.Plane) + len(p.Client) + len(p.User)
	for _, id := range p.Organizations {
		bytes += header + len(id)
	}
	for _, tree := range p.Trees {
		bytes += 3*header + len(tree.Root)
		for _, id := range tree.Subs {
			bytes += header + len(id)
		}
	}
	return uint32(min(bytes, 1<<31))
}
