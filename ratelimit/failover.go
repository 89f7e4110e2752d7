package ratelimit

import (
	"context"
	"errors"
	"fmt"
)

// Mode says what a [Failover] does while its primary cannot decide.
type Mode string

// The modes, by their names in OSGATE_RATE_REDIS_DOWN.
const (
	// ModeLocal asks the fallback, for this replica's share of the quota.
	ModeLocal Mode = "local"
	// ModeOpen admits everything.
	ModeOpen Mode = "open"
	// ModeClosed admits nothing: Take returns ErrUnavailable.
	ModeClosed Mode = "closed"
)

// FailoverOptions configures a [Failover].
type FailoverOptions struct {
	// Primary is asked first. Required.
	Primary Limiter
	// Fallback is asked while Primary returns errors, if Mode is ModeLocal. It must
	// be one that always decides, such as [Local].
	Fallback Limiter
	// Mode is what to do without Primary. Empty means ModeLocal.
	Mode Mode
	// Replicas is how many processes share the quota. Less than one means one.
	Replicas int
}

// Failover is a [Limiter] that decides without its primary where that fails, and
// marks such results as degraded. It keeps no state: a primary that is known to be
// down is expected to say so at once. Each time the primary is lost or found again a
// key may have one more burst, since the two do not know of each other's units.
type Failover struct{ o FailoverOptions }

var _ Limiter = (*Failover)(nil)

// NewFailover returns a Failover. It panics if o lacks a limiter that it needs or has
// an unknown mode.
func NewFailover(o FailoverOptions) *Failover {
	if o.Mode == "" {
		o.Mode = ModeLocal
	}
	switch {
	case o.Primary == nil:
		panic("ratelimit: failover without a primary")
	case o.Mode == ModeLocal && o.Fallback == nil:
		panic("ratelimit: failover to local without a fallback")
	case o.Mode != ModeLocal && o.Mode != ModeOpen && o.Mode != ModeClosed:
		panic("ratelimit: unknown failover mode")
	}
	return &Failover{o}
}

// lostKey is the key under which a context says that the primary was asked in vain.
type lostKey struct{}

// errLost is why a primary is not asked that failed a moment ago.
var errLost = errors.New("it failed for this request a moment ago")

// Lost returns a context in which a [Failover] decides without its primary: for a request
// that has already waited for the primary in vain, and takes from another quota.
func Lost(ctx context.Context) context.Context { return context.WithValue(ctx, lostKey{}, true) }

// Take implements [Limiter]. An error is ctx's if that ended, or wraps
// [ErrUnavailable].
func (f *Failover) Take(ctx context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	result, err := f.ask(ctx, key, q)
	if err == nil {
		return result, nil
	}
	if ctx.Err() != nil { // it was not the primary that failed
		return Result{}, ctx.Err()
	}
	q = q.normal()
	switch f.o.Mode {
	case ModeOpen:
		return Result{Allowed: true, Limit: q.Rate, Remaining: q.Burst, Degraded: true}, nil
	case ModeClosed:
		return Result{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	default:
		result, err = f.o.Fallback.Take(ctx, key, q.share(f.o.Replicas))
		result.Limit, result.Degraded = q.Rate, true
		return result, err
	}
}

// ask asks the primary, unless ctx is of a request for which that has just failed.
func (f *Failover) ask(ctx context.Context, key string, q Quota) (Result, error) {
	if ctx.Value(lostKey{}) != nil {
		return Result{}, errLost
	}
	return f.o.Primary.Take(ctx, key, q)
}
