// Package changes passes changes of a state to a callback, in their order and without
// the lock that guards the state.
package changes

import "sync"

// A Queue holds changes that its callback has not received yet. The zero Queue is
// empty. It is safe for concurrent use.
type Queue[T any] struct {
	mu      sync.Mutex // guards pending
	pending []T

	delivering sync.Mutex // held while a callback runs, so that it receives changes in order
}

// Add adds a change. The caller holds the lock that orders the changes.
func (q *Queue[T]) Add(change T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = append(q.pending, change)
}

// Deliver calls receive once for each change that was added, in their order, and
// returns when it has received them. The caller holds no lock that receive needs.
// Receive must not call Deliver.
func (q *Queue[T]) Deliver(receive func(T)) {
	q.delivering.Lock()
	defer q.delivering.Unlock()
	q.mu.Lock()
	pending := q.pending
	q.pending = nil
	q.mu.Unlock()
	for _, change := range pending {
		receive(change)
	}
}
