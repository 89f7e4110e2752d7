// Package ratelimit answers "may they now": it holds each client to a quota, over
// all replicas through Redis or in this process alone.
//
// The idea to keep in mind: a [Limiter] decides about one unit at a time and never
// waits for quota; the limiters are stacked. [Redis] counts for all replicas,
// [Failover] puts [Local] in its place while Redis is gone, and [Turns] lets who is
// over quota wait for a turn instead of refusing at once. Each counts by either of
// two algorithms, as the quota says: the generic cell rate algorithm (GCRA), which
// admits a burst and then evenly, and an exact sliding window.
//
// Two more things are built on these: [Pauses] keeps away from an upstream that has
// just said 429, and [Failures] slows down who guesses. An upstream budget is a Turns
// over the same limiter with a [BudgetKey].
//
// The package knows keys and quotas, not requests: what counts, for whom, and what
// the client is told is decided by its callers.
package ratelimit

import (
	"context"
	"errors"
	"time"
)

// Result is a limiter's decision about one unit. All durations count from now and
// are never negative.
type Result struct {
	// Allowed reports whether the unit was taken. If not, nothing was.
	Allowed bool
	// Limit is the quota's Rate; 0 means that there is no limit, and then nothing but
	// Allowed has a meaning.
	Limit int
	// Remaining is how many more units would be allowed at this instant.
	Remaining int
	// RetryAfter is how long until another unit would be allowed, as far as this process
	// knows: 0 if Remaining is not, and positive after a refusal. A unit is allowed after
	// that time unless another caller takes it first. Another process may have taken it
	// already: a refusal may come from the memory of this process, which does not know
	// what other processes took since it last asked. It may also be too long, by the time
	// that the answer of a shared limiter took to arrive.
	RetryAfter time.Duration
	// MoreAfter is how long until more than Remaining would be allowed at once, as far as
	// this process knows: RetryAfter if Remaining is 0, and 0 only where all are there.
	MoreAfter time.Duration
	// ResetAfter is how long until all that may come at once would be allowed again:
	// GCRA's burst, a window's rate.
	ResetAfter time.Duration
	// Degraded reports that the limit shared by all replicas could not be asked, and
	// that the decision was made without it.
	Degraded bool
}

// Limiter decides whether a key may take a unit now.
type Limiter interface {
	// Take takes one unit of q for key if that is within quota. It never waits for
	// quota. An error means that nothing could be decided, and is ctx's if that ended;
	// what it means for the request is up to the caller ([Failover] for example).
	// Implementations are safe for concurrent use and bounded in time. A key is not
	// a secret ([Key] makes one) and is always used with the same quota; what another
	// algorithm counted for it is not looked at.
	Take(ctx context.Context, key string, q Quota) (Result, error)
}

// ErrUnavailable means that the limit could not be asked and that nothing is
// admitted without it ([ModeClosed]).
var ErrUnavailable = errors.New("rate limit cannot be decided")
