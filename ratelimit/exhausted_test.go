package ratelimit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/redisconn"
)

// spent returns the memory of a key that had no unit left until just now.
func spent(q Quota) *exhaustedKeys {
	k := newExhaustedKeys()
	k.remember("k", q, Result{RetryAfter: time.Second})
	<-time.After(time.Second)
	return k
}

func TestOneCallerReadsTheStateAndTheOthersShareItsAnswer(t *testing.T) {
	q := Quota{Rate: 10, Period: time.Second, Burst: 1}.normal()
	for name, tt := range map[string]struct {
		heard func(k *exhaustedKeys)
		err   error
		want  func(first *sharedCall, refusal Result, err error) bool
	}{
		"nothing left": {
			func(k *exhaustedKeys) { k.remember("k", q, Result{RetryAfter: time.Second}) }, nil,
			func(first *sharedCall, refusal Result, err error) bool {
				return first == nil && err == nil && refusal.RetryAfter == time.Second
			},
		},
		"more is left": {
			func(*exhaustedKeys) {}, nil,
			func(first *sharedCall, refusal Result, err error) bool {
				return first == nil && err == nil && refusal == Result{}
			},
		},
		"redis is down": {
			func(*exhaustedKeys) {}, redisconn.ErrDown,
			func(first *sharedCall, _ Result, err error) bool {
				return first == nil && errors.Is(err, redisconn.ErrDown)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := spent(q)
				first, _, err := k.enter(t.Context(), "k", q)
				if first == nil || err != nil {
					t.Fatalf("no caller is first: %v", err)
				}
				waits := make(chan bool)
				go func() { waits <- tt.want(k.enter(t.Context(), "k", q)) }()
				synctest.Wait()
				failure := k.leave(t.Context(), "k", first, tt.err)
				tt.heard(k)
				first.Land(failure)
				if !<-waits {
					t.Error("a waiting caller received another answer")
				}
			})
		})
	}
}

func TestAFirstThatGivesUpLeavesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Quota{Rate: 10, Period: time.Second, Burst: 1}.normal()
		k := spent(q)
		first, _, _ := k.enter(t.Context(), "k", q)
		left, leave := context.WithCancel(t.Context())
		waits := make(chan error)
		go func() { _, _, err := k.enter(left, "k", q); waits <- err }()
		synctest.Wait()
		leave()
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that waited and left: %v", err)
		}
		first.Land(k.leave(left, "k", first, context.Canceled))
		if second, _, err := k.enter(t.Context(), "k", q); second == nil || err != nil {
			t.Errorf("no caller is first after it: %v", err)
		}
	})
}

// TestTheStateOfAnotherQuotaDelaysNoCaller checks that the first caller is first only
// for its own quota.
func TestTheStateOfAnotherQuotaDelaysNoCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Quota{Rate: 10, Period: time.Second, Burst: 1}.normal()
		k := spent(q)
		q.Rate++
		if first, refusal, err := k.enter(t.Context(), "k", q); first != nil || refusal != (Result{}) || err != nil {
			t.Errorf("first is %v, the refusal is %+v, %v; want a call of the limiter", first, refusal, err)
		}
	})
}
