package ratelimit_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
)

// TestFirstSecondAfterARest says in numbers what RATE_BURST means: at ten a second
// asked for without pause, burst 10 passes 19 in the first second, burst 1 passes 10.
func TestFirstSecondAfterARest(t *testing.T) {
	for burst, want := range map[int]int{10: 19, 3: 12, 1: 10} {
		synctest.Test(t, func(t *testing.T) {
			l := ratelimit.NewLocal(ratelimit.LocalOptions{})
			q, key := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: burst}, freshKey()
			for range 2 { // and again after any rest of a second
				passed := 0
				for start := time.Now(); time.Since(start) < time.Second; <-time.After(time.Millisecond) {
					if take(t, l, key, q).Allowed {
						passed++
					}
				}
				if passed != want {
					t.Errorf("burst %d: %d passed in the first second, want %d", burst, passed, want)
				}
				<-time.After(time.Second)
			}
		})
	}
}

func TestLocalForgetsOnlyWhatIsWholeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.NewLocal(ratelimit.LocalOptions{MaxKeys: 100})
		q := ratelimit.Quota{Rate: 1, Period: time.Second, Burst: 1}
		const busy = "busy"
		for range 50 { // 50 other keys in the time in which each is whole again
			for range 50 {
				<-time.After(20 * time.Millisecond)
				take(t, l, freshKey(), q)
			}
			if r := take(t, l, busy, q); !r.Allowed {
				t.Fatalf("after a second: %+v", r)
			}
			if r := take(t, l, busy, q); r.Allowed {
				t.Fatal("a key was forgotten before its burst was whole")
			}
		}
	})
}

func TestLocalIsSafeForConcurrentUse(t *testing.T) {
	l := ratelimit.NewLocal(ratelimit.LocalOptions{MaxKeys: 10})
	q := ratelimit.Quota{Rate: 1, Period: time.Hour, Burst: 50}
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
		t.Errorf("%d admitted, want 50", sum)
	}
}
