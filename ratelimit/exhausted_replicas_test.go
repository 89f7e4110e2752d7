package ratelimit

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// replica is a limiter that counts in a shared limiter, as [Redis] does, and receives
// its answers late.
type replica struct {
	shared *Local
	late   time.Duration // from the decision to the receipt of the next answer
	spent  *exhaustedKeys
}

func newReplica(shared *Local) *replica { return &replica{shared: shared, spent: newExhaustedKeys()} }

func (r *replica) Take(ctx context.Context, key string, q Quota) (Result, error) {
	return r.spent.take(ctx, key, q.normal(), r)
}

func (r *replica) decide(ctx context.Context, key string, q Quota) (Result, error) {
	result, err := r.shared.Take(ctx, key, q)
	<-time.After(r.late)
	return result, err
}

// TestARefusalFromMemoryDoesNotKnowWhatOtherReplicasTook has two replicas. One receives
// late the answer that no unit is left, and refuses until the time in that answer has
// passed. Before that, the other one takes the unit that became available. The quota
// holds, and a unit is available when the times in the answers of both replicas have
// passed.
func TestARefusalFromMemoryDoesNotKnowWhatOtherReplicasTook(t *testing.T) {
	const ms = time.Millisecond
	for _, algorithm := range []Algorithm{AlgorithmGCRA, AlgorithmWindow} {
		synctest.Test(t, func(t *testing.T) {
			q := Quota{Rate: 1, Period: 100 * ms, Burst: 1, Algorithm: algorithm}
			shared := NewLocal(LocalOptions{})
			a, b := newReplica(shared), newReplica(shared)
			b.late = 60 * ms
			start := time.Now()
			for _, step := range []struct {
				at         time.Duration // when the replica is called
				replica    *replica
				allowed    bool
				retryAfter time.Duration
			}{
				{0, b, true, 100 * ms},        // received at 60 ms: b refuses from memory until 160 ms
				{100 * ms, a, true, 100 * ms}, // the unit that became available
				{100 * ms, b, false, 60 * ms}, // from memory
				{160 * ms, a, false, 40 * ms}, // the client has waited, and is refused again
				{200 * ms, a, true, 100 * ms}, // the times in all answers have passed
			} {
				<-time.After(step.at - time.Since(start))
				got, err := step.replica.Take(t.Context(), "k", q)
				want := Result{Allowed: step.allowed, Limit: 1, RetryAfter: step.retryAfter, MoreAfter: step.retryAfter, ResetAfter: step.retryAfter}
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s, at %v: %v (-want +got):\n%s", algorithm, step.at, err, diff)
				}
			}
		})
	}
}

// TestAClientOfOneReplicaIsServedAfterRetryAfter checks a promise that two replicas
// cannot keep.
func TestAClientOfOneReplicaIsServedAfterRetryAfter(t *testing.T) {
	const ms = time.Millisecond
	for _, algorithm := range []Algorithm{AlgorithmGCRA, AlgorithmWindow} {
		synctest.Test(t, func(t *testing.T) {
			q := Quota{Rate: 3, Period: 100 * ms, Burst: 2, Algorithm: algorithm}
			r := newReplica(NewLocal(LocalOptions{}))
			for i := range 30 { // with slower answers, a client never reaches its quota
				r.late = time.Duration(i) * ms
				result, err := r.Take(t.Context(), "k", q)
				for err == nil && result.Allowed {
					result, err = r.Take(t.Context(), "k", q)
				}
				<-time.After(result.RetryAfter)
				if again, err := r.Take(t.Context(), "k", q); err != nil || !again.Allowed {
					t.Fatalf("%s, answers %v late: %+v, %v after waiting for %v", algorithm, r.late, again, err, result.RetryAfter)
				}
			}
		})
	}
}
