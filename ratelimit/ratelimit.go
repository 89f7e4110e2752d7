// Package ratelimit answers "may they now": it holds each client to a quota, over
// all replicas through Redis or in this process alone.
//
// The idea to keep in mind: a [Limiter] decides about one unit at a time and never
// waits for quota; the limiters are stacked. [Redis] counts for all replicas,
// [Failover] puts [Local] in its place while Redis is gone, and [Turns] lets who is
// over quota wait for a turn instead of refusing at once. All of them use the
// generic cell rate algorithm (GCRA), which admits a burst and then one unit each
// Period/Rate, and which needs one instant of memory for each key.
//
// The package knows keys and quotas, not requests: what counts, for whom, and what
// the client is told is decided by its callers.
package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Quota is how much a key may take: Burst units at once and then Rate units each
// Period, evenly spaced. In any span of time t it admits at most Burst + Rate·t/Period.
type Quota struct {
	// Rate is the number of units in each Period. Zero or less: no limit.
	Rate int
	// Period is the time that Rate is meant for. Zero or less means one second.
	Period time.Duration
	// Burst is how many units may come at once after a rest. Less than one means one,
	// which spaces units evenly from the first.
	Burst int
}

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
	// RetryAfter is how long until another unit would be allowed: 0 if Remaining is
	// not, and positive after a refusal.
	RetryAfter time.Duration
	// ResetAfter is how long until the whole burst would be allowed again.
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
	// a secret ([Key] makes one) and is always used with the same quota.
	Take(ctx context.Context, key string, q Quota) (Result, error)
}

// ErrUnavailable means that the limit could not be asked and that nothing is
// admitted without it ([ModeClosed]).
var ErrUnavailable = errors.New("rate limit cannot be decided")

// keyBytes is how much of the hash a key keeps: 128 bits, so that no two of 2^50
// clients share a quota but with a chance of 2^-28.
const keyBytes = 16

// Key returns the key of a principal in a control plane: a hash of the two, so that
// no client ID can be read in Redis and none can be chosen to collide with another
// (each part is preceded by its length, there is no separator to forge).
func Key(plane, principal string) string {
	var b []byte
	for _, part := range []string{plane, principal} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:keyBytes])
}

// unlimited reports whether q admits everything.
func (q Quota) unlimited() bool { return q.Rate <= 0 }

// normal returns q with its defaults in place.
func (q Quota) normal() Quota {
	if q.Period <= 0 {
		q.Period = time.Second
	}
	q.Burst = max(q.Burst, 1)
	return q
}

// interval is the time between two units once the burst is spent, of a normal
// quota: rounded up, so that never more than Rate fit into a Period.
func (q Quota) interval() time.Duration {
	rate := time.Duration(q.Rate)
	return (q.Period-1)/rate + 1
}

// share returns the nth part of a normal quota. The rate is exact, since the
// period is lengthened; the burst is rounded down, but at least one.
func (q Quota) share(n int) Quota {
	n = max(n, 1)
	q.Period = times(q.Period, n)
	q.Burst = max(q.Burst/n, 1)
	return q
}

// times returns n·d, or the longest Duration if that is longer. Neither is negative.
func times(d time.Duration, n int) time.Duration {
	if n > 0 && d > math.MaxInt64/time.Duration(n) {
		return math.MaxInt64
	}
	return d * time.Duration(n)
}
