package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/ratelimit"
)

const ms = time.Millisecond

// departed is a call of Wait that has returned: the caller, the time, and the result.
type departed struct {
	Who        int
	At         time.Duration
	RetryAfter time.Duration
	Err        error
}

// departures collects the calls of Wait for a key, in a synctest bubble.
type departures struct {
	t      *testing.T
	pauses *ratelimit.Pauses
	start  time.Time
	calls  sync.WaitGroup
	mu     sync.Mutex
	all    []departed
}

func newDepartures(t *testing.T) *departures {
	t.Helper()
	return &departures{t: t, pauses: ratelimit.NewPauses(ratelimit.PausesOptions{}), start: time.Now()}
}

// wait starts a call of Wait, and returns when the call has returned or waits.
func (d *departures) wait(ctx context.Context, who int, within time.Duration) {
	d.calls.Go(func() {
		called := time.Now()
		waited, retryAfter, err := d.pauses.Wait(ctx, "k", within)
		d.mu.Lock()
		defer d.mu.Unlock()
		if waited != time.Since(called) {
			d.t.Errorf("%d: waited %v, but reports %v", who, time.Since(called), waited)
		}
		d.all = append(d.all, departed{who, time.Since(d.start), retryAfter, err})
	})
	synctest.Wait()
}

// want waits for all calls and compares them, in the order in which they returned.
func (d *departures) want(want ...departed) {
	d.t.Helper()
	d.calls.Wait()
	// Calls that return at the same instant have no order: each runs on its own
	// goroutine.
	slices.SortFunc(d.all, func(a, b departed) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return a.Who - b.Who
	})
	if diff := cmp.Diff(want, d.all, cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })); diff != "" {
		d.t.Errorf("departures (-want +got):\n%s", diff)
	}
}

func TestRequestsLeaveAPauseInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(t)
		d.pauses.Pause("k", 300*ms, 100*ms)
		for who := range 3 {
			d.wait(t.Context(), who, time.Second)
		}
		<-time.After(350 * ms) // the pause has ended, but calls still wait in the queue
		d.wait(t.Context(), 3, time.Second)
		d.want(departed{0, 300 * ms, 0, nil}, departed{1, 400 * ms, 0, nil}, departed{2, 500 * ms, 0, nil}, departed{3, 600 * ms, 0, nil})
		// The interval after the last call counts too; then the pause is forgotten.
		d.wait(t.Context(), 4, time.Second)
		d.calls.Wait()
		<-time.After(100 * ms)
		d.wait(t.Context(), 5, 0)
		d.wait(t.Context(), 6, 0)
		d.want(departed{0, 300 * ms, 0, nil}, departed{1, 400 * ms, 0, nil}, departed{2, 500 * ms, 0, nil}, departed{3, 600 * ms, 0, nil},
			departed{4, 700 * ms, 0, nil}, departed{5, 800 * ms, 0, nil}, departed{6, 800 * ms, 0, nil})
	})
}

func TestARequestWhoseSlotComesTooLateIsRefusedAtOnceWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(t)
		d.pauses.Pause("k", 300*ms, 100*ms)
		d.wait(t.Context(), 0, 0)
		d.wait(t.Context(), 1, 299*ms)
		d.wait(t.Context(), 2, 300*ms)
		d.wait(t.Context(), 3, 300*ms)
		d.wait(t.Context(), 4, 400*ms)
		d.want(departed{0, 0, 300 * ms, nil}, departed{1, 0, 300 * ms, nil}, departed{3, 0, 400 * ms, nil},
			departed{2, 300 * ms, 0, nil}, departed{4, 400 * ms, 0, nil})
	})
}

func TestASecondPauseProlongsAndNeverShortens(t *testing.T) {
	for name, tt := range map[string]struct {
		d, interval time.Duration
		first, next time.Duration
	}{
		"longer":                 {d: 600 * ms, interval: 100 * ms, first: 700 * ms, next: 800 * ms},
		"shorter":                {d: 10 * ms, interval: 10 * ms, first: 300 * ms, next: 400 * ms},
		"with a longer interval": {d: 10 * ms, interval: 250 * ms, first: 300 * ms, next: 550 * ms},
		"that is none":           {d: 0, interval: 250 * ms, first: 300 * ms, next: 400 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDepartures(t)
				d.pauses.Pause("k", 300*ms, 100*ms)
				d.wait(t.Context(), 0, time.Second)
				<-time.After(100 * ms)
				d.pauses.Pause("k", tt.d, tt.interval)
				d.wait(t.Context(), 1, time.Second)
				d.want(departed{0, tt.first, 0, nil}, departed{1, tt.next, 0, nil})
			})
		})
	}
}

func TestAShorterPauseAdmitsNoLaterRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(t)
		d.pauses.Pause("k", 300*ms, 100*ms)
		d.pauses.Pause("k", 10*ms, 100*ms)
		d.wait(t.Context(), 0, 0)
		d.want(departed{0, 0, 300 * ms, nil})
	})
}

// TestEarlierPauseDoesNotSlowALaterOne checks that a pause that has ended has
// no effect on a later one.
func TestEarlierPauseDoesNotSlowALaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(t)
		d.pauses.Pause("k", 100*ms, time.Second)
		<-time.After(100 * ms)
		d.pauses.Pause("k", 100*ms, 10*ms)
		d.wait(t.Context(), 0, time.Second)
		d.wait(t.Context(), 1, time.Second)
		d.want(departed{0, 200 * ms, 0, nil}, departed{1, 210 * ms, 0, nil})
	})
}

func TestARequestThatAPauseMakesTooLateWaitsNoLongerThanItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(t)
		d.pauses.Pause("k", 300*ms, 100*ms)
		d.wait(t.Context(), 0, 400*ms)
		d.wait(t.Context(), 1, 400*ms)
		d.pauses.Pause("k", 5*time.Second, 100*ms)
		d.want(departed{0, 300 * ms, 4700 * ms, nil}, departed{1, 300 * ms, 4800 * ms, nil})
	})
}

func TestAClientThatLeavesAPauseGivesUpItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(t)
		d.pauses.Pause("k", 300*ms, 100*ms)
		ctx, leave := context.WithCancel(t.Context())
		d.wait(ctx, 0, time.Second)
		d.wait(ctx, 1, time.Second)
		d.wait(t.Context(), 2, time.Second)
		<-time.After(50 * ms)
		leave()
		d.want(departed{0, 50 * ms, 0, context.Canceled}, departed{1, 50 * ms, 0, context.Canceled}, departed{2, 300 * ms, 0, nil})
	})
}

func TestWithoutAnIntervalAllLeaveWhenThePauseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(t)
		d.pauses.Pause("k", 300*ms, 0)
		d.wait(t.Context(), 0, time.Second)
		d.wait(t.Context(), 1, time.Second)
		d.want(departed{0, 300 * ms, 0, nil}, departed{1, 300 * ms, 0, nil})
	})
}

func TestPausesOfOneKeyDoNotTouchAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(t)
		d.pauses.Pause("other", time.Hour, time.Hour)
		d.wait(t.Context(), 0, 0)
		d.want(departed{0, 0, 0, nil})
	})
}

// TestPausesAreBounded checks that, beyond the bound, the pause that ends first is
// forgotten, and that the calls waiting for it may go on.
func TestPausesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pauses := ratelimit.NewPauses(ratelimit.PausesOptions{MaxKeys: 1, MaxWaitersPerKey: 1})
		pauses.Pause("a", time.Second, ms)
		var clients sync.WaitGroup
		clients.Go(func() {
			if waited, retryAfter, err := pauses.Wait(t.Context(), "a", time.Minute); waited != time.Second || retryAfter != 0 || err != nil {
				t.Errorf("waited %v, retry after %v, %v", waited, retryAfter, err)
			}
		})
		synctest.Wait()
		if waited, retryAfter, err := pauses.Wait(t.Context(), "a", time.Minute); waited != 0 || retryAfter <= 0 || err != nil {
			t.Errorf("beyond the bound: waited %v, retry after %v, %v; want refused at once", waited, retryAfter, err)
		}
		pauses.Pause("b", time.Hour, ms)
		if _, retryAfter, _ := pauses.Wait(t.Context(), "b", 0); retryAfter != time.Hour {
			t.Errorf("the newer pause: retry after %v, want an hour", retryAfter)
		}
		clients.Wait()
		if _, retryAfter, _ := pauses.Wait(t.Context(), "a", 0); retryAfter != 0 {
			t.Errorf("the older pause: retry after %v, want none", retryAfter)
		}
	})
}

func TestAKeyThatIsNotPausedCostsNoMemory(t *testing.T) {
	pauses := ratelimit.NewPauses(ratelimit.PausesOptions{})
	pauses.Pause("other", time.Hour, time.Second)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _, _ = pauses.Wait(ctx, "k", time.Second) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func ExamplePauses() {
	pauses := ratelimit.NewPauses(ratelimit.PausesOptions{})
	key := ratelimit.Key("us", "client")
	// Upstream has answered 429 with Retry-After: 60; its limit is ten a second.
	pauses.Pause(key, time.Minute, 100*time.Millisecond)

	_, retryAfter, _ := pauses.Wait(context.Background(), key, time.Second)
	fmt.Println("pass the 429 on:", retryAfter.Round(time.Second))
	// Output: pass the 429 on: 1m0s
}
