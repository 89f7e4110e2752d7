// Package ratelimit holds each client to a quota, over all replicas through Redis or in
// this process only.
//
// A [Limiter] decides about one unit at a time and never waits for quota. The limiters
// are stacked: [Redis] counts for all replicas, [Failover] replaces it by [Local] while
// Redis is unavailable, and [Turns] lets a client over quota wait for its turn instead
// of refusing at once. Each counts by one of two algorithms that the quota selects: the
// generic cell rate algorithm (GCRA), which admits a burst and then spaces units
// evenly, and an exact sliding window.
//
// Two more types are built on these: [Pauses] sends no request to an upstream that has
// just answered 429, and [Failures] slows down clients that guess credentials. An
// upstream budget is a Turns over the same limiter with a [BudgetKey].
//
// The package knows keys and quotas, not requests. Its callers decide which requests
// count, under which key, and what the client receives.
package ratelimit

import (
	"context"
	"errors"
	"time"
)

// Result is a limiter's decision about one unit. All durations count from now and
// are never negative.
type Result struct {
	// Allowed reports whether the unit was taken. If not, no unit was.
	Allowed bool
	// Limit is the quota's Rate; 0 means that there is no limit, and then only Allowed
	// has a meaning.
	Limit int
	// Remaining is how many more units would be allowed at this instant.
	Remaining int
	// RetryAfter is how long until another unit would be allowed, as far as this
	// process knows: 0 if Remaining is not, and positive after a refusal. A unit is
	// allowed after that time unless another caller takes it first. Another process may
	// have taken it already: a refusal may come from the memory of this process, which
	// does not know what other processes took since it last asked. It may also be too
	// long, by the time that the answer of a shared limiter took to arrive.
	RetryAfter time.Duration
	// MoreAfter is how long until more than Remaining would be allowed at once, as far
	// as this process knows: RetryAfter if Remaining is 0, and 0 only if all units are
	// available.
	MoreAfter time.Duration
	// ResetAfter is how long until the largest possible number of units would be
	// allowed at once again: GCRA's burst, a window's rate.
	ResetAfter time.Duration
	// Degraded reports that the limiter shared by all replicas was unavailable, and
	// that the decision was made without it.
	Degraded bool
}

// Limiter decides whether a key may take a unit now.
type Limiter interface {
	// Take takes one unit of q for key if that is within quota. It never waits for
	// quota. An error means that no decision was possible, and is ctx's if ctx has
	// ended; the caller decides how to treat it ([Failover] for example).
	// Implementations are safe for concurrent use and bounded in time. A key is not a
	// secret ([Key] makes one) and is always used with the same quota; the count of
	// another algorithm for it is ignored.
	Take(ctx context.Context, key string, q Quota) (Result, error)
}

// ErrUnavailable means that the limiter is unavailable and that no unit is admitted
// without it ([ModeClosed]).
var ErrUnavailable = errors.New("rate limit cannot be decided")
