package ratelimit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/redisconn"
)

// spent is a Redis limiter that knows of a key that it had nothing left until just now. It asks no Redis: only entering and leaving are looked at.
func spent(q Quota) *Redis {
	l := &Redis{start: time.Now(), spent: newTable[exhaustion](0)}
	l.remember("k", q, Result{RetryAfter: time.Second})
	<-time.After(time.Second)
	return l
}

func TestOneCallerAsksAndTheOthersHearWhatItHeard(t *testing.T) {
	q := Quota{Rate: 10, Period: time.Second, Burst: 1}.normal()
	for name, tt := range map[string]struct {
		heard func(l *Redis)
		err   error
		want  func(first *question, refusal Result, err error) bool
	}{
		"nothing left": {
			func(l *Redis) { l.remember("k", q, Result{RetryAfter: time.Second}) }, nil,
			func(first *question, refusal Result, err error) bool {
				return first == nil && err == nil && refusal.RetryAfter == time.Second
			},
		},
		"more is left": {
			func(*Redis) {}, nil,
			func(first *question, refusal Result, err error) bool {
				return first == nil && err == nil && refusal == Result{}
			},
		},
		"redis is down": {
			func(*Redis) {}, redisconn.ErrDown,
			func(first *question, _ Result, err error) bool {
				return first == nil && errors.Is(err, redisconn.ErrDown)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := spent(q)
				first, _, err := l.enter(t.Context(), "k", q)
				if first == nil || err != nil {
					t.Fatalf("nobody is first: %v", err)
				}
				waits := make(chan bool)
				go func() { waits <- tt.want(l.enter(t.Context(), "k", q)) }()
				synctest.Wait()
				l.leave(t.Context(), "k", first, tt.err)
				tt.heard(l)
				close(first.done)
				if !<-waits {
					t.Error("who waited heard something else")
				}
			})
		})
	}
}

func TestAFirstThatGivesUpLeavesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Quota{Rate: 10, Period: time.Second, Burst: 1}.normal()
		l := spent(q)
		first, _, _ := l.enter(t.Context(), "k", q)
		left, leave := context.WithCancel(t.Context())
		waits := make(chan error)
		go func() { _, _, err := l.enter(left, "k", q); waits <- err }()
		synctest.Wait()
		leave()
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Errorf("one that waited and left: %v", err)
		}
		l.leave(left, "k", first, context.Canceled)
		close(first.done)
		if second, _, err := l.enter(t.Context(), "k", q); second == nil || err != nil {
			t.Errorf("nobody is first after it: %v", err)
		}
	})
}
