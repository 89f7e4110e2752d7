package flight_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/flight"
)

// TestAllCallersGetTheOneResult, also callers that come after the end.
func TestAllCallersGetTheOneResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flight.New[int]()
		got := make(chan int, 3)
		for range 2 {
			go func() {
				n, err := f.Wait(t.Context())
				if err != nil {
					t.Error(err)
				}
				got <- n
			}()
		}
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal("a caller got a result before the end")
		}
		f.Land(7)
		n, err := f.Wait(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- n
		for range 3 {
			if n := <-got; n != 7 {
				t.Errorf("a caller got %d, want 7", n)
			}
		}
	})
}

// TestACallerLeavesWithItsContext and the flight continues without it.
func TestACallerLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flight.New[string]()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if result, err := f.Wait(ctx); result != "" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %q, %v; want no result and the error of the context", result, err)
		}
		f.Land("late")
		if result, err := f.Wait(t.Context()); result != "late" || err != nil {
			t.Errorf("Wait after the end = %q, %v", result, err)
		}
	})
}

// TestALandedFlightHasItsResultAtOnce.
func TestALandedFlightHasItsResultAtOnce(t *testing.T) {
	f := flight.Landed("known")
	select {
	case <-f.Done():
	default:
		t.Fatal("a landed flight is not done")
	}
	if f.Result() != "known" {
		t.Errorf("Result = %q", f.Result())
	}
}
