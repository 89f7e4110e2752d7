package ratelimit

import (
	"context"
	"errors"
	"fmt"
)

// Mode is how a [Failover] decides while its primary is unavailable.
type Mode string

// The modes, by their names in OSGATE_RATE_REDIS_DOWN.
const (
	// ModeLocal decides with the fallback, for this replica's share of the quota.
	ModeLocal Mode = "local"
	// ModeOpen admits everything.
	ModeOpen Mode = "open"
	// ModeClosed admits nothing: Take returns ErrUnavailable.
	ModeClosed Mode = "closed"
)

// FailoverOptions configures a [Failover].
type FailoverOptions struct {
	// Primary decides unless it fails. Required.
	Primary Limiter
	// Fallback decides while Primary returns errors, if Mode is ModeLocal. It must be a
	// limiter that always decides, such as [Local].
	Fallback Limiter
	// Mode is how to decide without Primary. Empty means ModeLocal.
	Mode Mode
	// Replicas is how many processes share the quota. Less than one means one.
	Replicas int
}

// Failover is a [Limiter] that decides without its primary if that fails, and marks
// such results as degraded. It keeps no state: a primary that is known to be down
// should return its error at once. Each time the primary fails or recovers, a key may
// have one more burst, because primary and fallback do not share their counts.
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

// withoutPrimaryKey is the context key that makes a Failover skip its primary.
type withoutPrimaryKey struct{}

// errSkipped is the error in place of the primary's if the primary is skipped.
var errSkipped = errors.New("skipped: it failed for this request a moment ago")

// WithoutPrimary returns a context in which a [Failover] decides without its primary.
// It is for a request that has already waited for the primary in vain, and takes a unit
// of another quota.
func WithoutPrimary(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutPrimaryKey{}, true)
}

// Take implements [Limiter]. Its error is ctx's if ctx has ended, and wraps
// [ErrUnavailable] otherwise.
func (f *Failover) Take(ctx context.Context, key string, q Quota) (Result, error) {
	if q.unlimited() {
		return Result{Allowed: true}, nil
	}
	result, err := f.takePrimary(ctx, key, q)
	if err == nil {
		return result, nil
	}
	if ctx.Err() != nil { // the caller gave up; the primary did not fail
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

// share returns the nth part of a normal quota. Over n replicas the rate is never
// exceeded in the long run. In any one Period, n units are possible if Rate or Burst is
// less than n, because each replica admits at least one at a time.
func (q Quota) share(n int) Quota {
	switch n = max(n, 1); {
	case q.Algorithm != AlgorithmWindow:
		q.Period = times(q.Period, n) // which leaves the rate exact
		q.Burst = max(q.Burst/n, 1)
	case q.Rate >= n:
		q.Rate /= n
	default:
		q.Rate, q.Period = 1, divideUp(times(q.Period, n), q.Rate)
	}
	return q.normal()
}

// takePrimary decides with the primary, unless ctx is from WithoutPrimary.
func (f *Failover) takePrimary(ctx context.Context, key string, q Quota) (Result, error) {
	if ctx.Value(withoutPrimaryKey{}) != nil {
		return Result{}, errSkipped
	}
	return f.o.Primary.Take(ctx, key, q)
}
