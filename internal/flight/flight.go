// Package flight lets several callers wait for the result of one piece of work
// ("request collapsing"). Its owner decides which callers join a flight; this package has the
// wait and the result.
package flight

import "context"

// A Flight is one piece of work with several callers that wait for its result. Make one
// with [New] or [Landed]. It is safe for concurrent use, but exactly one goroutine calls
// Land, once.
type Flight[T any] struct {
	done   chan struct{} // closed by Land
	result T             // read only after done is closed
}

// New returns a flight that is under way.
func New[T any]() *Flight[T] { return &Flight[T]{done: make(chan struct{})} }

// Landed returns a flight that has already ended with result.
func Landed[T any](result T) *Flight[T] {
	f := New[T]()
	f.Land(result)
	return f
}

// Land ends the flight: all callers get result.
func (f *Flight[T]) Land(result T) {
	f.result = result
	close(f.done)
}

// Done returns a channel that is closed when the flight has ended.
func (f *Flight[T]) Done() <-chan struct{} { return f.done }

// Result returns the result of a flight that has ended. It must not be called before
// [Flight.Done] is closed.
func (f *Flight[T]) Result() T { return f.result }

// Wait waits for the end of the flight and returns its result, or ctx's error if that
// ends first.
func (f *Flight[T]) Wait(ctx context.Context) (result T, err error) {
	select {
	case <-f.done:
		return f.result, nil
	case <-ctx.Done():
		return result, ctx.Err()
	}
}
