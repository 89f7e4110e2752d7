package changes_test

import (
	"slices"
	"sync"
	"testing"

	"osgate/internal/changes"
)

// TestChangesAreDeliveredOnceInTheirOrder however many goroutines add and deliver them.
// The callback reads the state, so no lock of its owner is held.
func TestChangesAreDeliveredOnceInTheirOrder(t *testing.T) {
	const goroutines, each = 8, 200
	var (
		q     changes.Queue[int]
		state sync.Mutex // orders the changes
		last  int
		got   []int
		all   sync.WaitGroup
	)
	for range goroutines {
		all.Go(func() {
			for range each {
				state.Lock()
				last++
				q.Add(last)
				state.Unlock()
				q.Deliver(func(n int) {
					state.Lock()
					defer state.Unlock()
					got = append(got, n)
				})
			}
		})
	}
	all.Wait()
	if len(got) != goroutines*each || !slices.IsSorted(got) {
		t.Errorf("%d changes, sorted: %v; want %d in their order", len(got), slices.IsSorted(got), goroutines*each)
	}
}
