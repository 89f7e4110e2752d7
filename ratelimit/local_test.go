package ratelimit_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
)

// TestFirstSecondAfterARest shows in numbers what RATE_BURST and RATE_ALGORITHM mean:
// at a rate of ten a second, with requests without a pause, burst 10 admits 19 in the
// first second; burst 1 and a window admit 10.
func TestFirstSecondAfterARest(t *testing.T) {
	for _, tt := range []struct {
		algorithm   ratelimit.Algorithm
		burst, want int
	}{
		{ratelimit.AlgorithmGCRA, 10, 19}, {ratelimit.AlgorithmGCRA, 3, 12}, {ratelimit.AlgorithmGCRA, 1, 10},
		{ratelimit.AlgorithmWindow, 10, 10}, {ratelimit.AlgorithmWindow, 1, 10},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := ratelimit.NewLocal(ratelimit.LocalOptions{})
			q, key := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: tt.burst, Algorithm: tt.algorithm}, freshKey()
			for range 2 { // and again after each pause of a second
				passed := 0
				for start := time.Now(); time.Since(start) < time.Second; <-time.After(time.Millisecond) {
					if take(t, l, key, q).Allowed {
						passed++
					}
				}
				if passed != tt.want {
					t.Errorf("%s, burst %d: %d passed in the first second, want %d", tt.algorithm, tt.burst, passed, tt.want)
				}
				<-time.After(time.Second)
			}
		})
	}
}

func TestLocalForgetsOnlyWhatIsWholeAgain(t *testing.T) {
	for name, q := range both(ratelimit.Quota{Rate: 1, Period: time.Second, Burst: 1}) {
		synctest.Test(t, func(t *testing.T) {
			l := ratelimit.NewLocal(ratelimit.LocalOptions{MaxKeys: 100})
			const busy = "busy"
			for range 50 { // 50 other keys in the time in which each gets its whole quota back
				for range 50 {
					<-time.After(20 * time.Millisecond)
					take(t, l, freshKey(), q)
				}
				if r := take(t, l, busy, q); !r.Allowed {
					t.Fatalf("%s: after a second: %+v", name, r)
				}
				if r := take(t, l, busy, q); r.Allowed {
					t.Fatalf("%s: a key was forgotten before its burst was whole", name)
				}
			}
		})
	}
}

func TestLocalIsSafeForConcurrentUse(t *testing.T) {
	for _, q := range both(ratelimit.Quota{Rate: 50, Period: 10 * time.Hour, Burst: 50}) {
		fiftyOfManyAreAdmitted(t, ratelimit.NewLocal(ratelimit.LocalOptions{MaxKeys: 10}), q)
	}
}

func fiftyOfManyAreAdmitted(t *testing.T, l ratelimit.Limiter, q ratelimit.Quota) {
	t.Helper()
	const key = "shared"
	var clients sync.WaitGroup
	admitted := make(chan int, 8)
	for range 8 {
		clients.Go(func() {
			n := 0
			for range 100 {
				if take(t, l, key, q).Allowed {
					n++
				}
			}
			admitted <- n
		})
	}
	clients.Wait()
	close(admitted)
	sum := 0
	for n := range admitted {
		sum += n
	}
	if sum != 50 {
		t.Errorf("%+v: %d admitted, want 50", q, sum)
	}
}
