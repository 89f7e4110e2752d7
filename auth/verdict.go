package auth

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// verdict is what a control plane said of a token: a yes, a no, or an unclear answer.
type verdict struct {
	principal *Principal        // of a yes
	unclear   *UnavailableError // of an unclear answer
	at        time.Time         // of a yes when it was asked, since a right may have ended while the answer was on its way; else when it came

	// Since at:
	life    time.Duration // how long it is fresh
	end     time.Duration // of a yes, how long it is good for forwarding while the plane is down
	renewal atomic.Int64  // of a yes, the age in nanoseconds from which on its next use asks again ahead of its end
	backoff time.Duration // of a yes, the age up to which it is not asked again, because the last answer was unclear; guarded by the Authenticator's mu

	weight uint32 // bytes, about
}

// The part of a verdict's life after which it is renewed, at random in between: tokens learned together, as after a start, are not asked together again.
const (
	renewFrom = 70 // percent
	renewTo   = 90
)

// yes is the verdict of an asking at an instant that named p. It holds no longer than the token.
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

// no is the verdict of an asking that ended now in a refusal.
func (a *Authenticator) no(now time.Time) *verdict {
	return &verdict{at: now, life: a.options.NegativeTTL, weight: weigh(nil)}
}

// unclear is the verdict of an asking that ended now in an answer that decides nothing.
func (a *Authenticator) unclear(failure *UnavailableError, now time.Time) *verdict {
	const cause = 512 // bytes, about: statuses, hosts and fixed texts
	return &verdict{unclear: failure, at: now, life: a.options.NegativeTTL, weight: weigh(nil) + cause}
}

// err returns what a caller gets of a verdict that names no principal.
func (v *verdict) err(now time.Time) error {
	if v.unclear == nil {
		return ErrBadToken
	}
	failure := *v.unclear
	failure.RetryAfter = max(failure.RetryAfter, v.life-now.Sub(v.at), minInterval)
	return &failure
}

// rests reports whether v is a yes that is not to be asked again yet. The caller holds the Authenticator's mu.
func (v *verdict) inBackoff(now time.Time) bool { return now.Sub(v.at) < v.backoff }

func (v *verdict) fresh(now time.Time) bool { return now.Sub(v.at) < v.life }

// usable reports whether v is good for forwarding while the plane is down.
func (v *verdict) usable(now time.Time) bool { return v.principal != nil && now.Sub(v.at) < v.end }

// young reports whether v is a yes that need not be renewed yet.
func (v *verdict) young(now time.Time) bool {
	return v.principal != nil && now.Sub(v.at) < v.life/100*renewFrom
}

// claim reports whether v is due for renewal at age, to one caller only: the next may be it an interval later.
func (v *verdict) claim(age time.Duration) bool {
	due := v.renewal.Load()
	return int64(age) >= due && v.renewal.CompareAndSwap(due, int64(age+max(minInterval, v.life/20)))
}

// weigh returns about how many bytes a verdict that names p takes in memory, its entry in the cache included.
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
