// Package entrystore is a bounded map of entries that expire, without a goroutine of its
// own.
package entrystore

import (
	"context"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
)

// Options configure a [Store].
type Options[K comparable, V any] struct {
	Bytes    int64                 // the largest weight of all entries together
	Weigh    func(V) uint32        // the weight of an entry
	Lifetime func(V) time.Duration // how long an entry is kept after it was stored

	// OnDeletion is called for each entry that is removed. Nil: it is not called.
	OnDeletion func(otter.DeletionEvent[K, V])
}

// Store is a map of bounded weight. It is safe for concurrent use.
type Store[K comparable, V any] struct{ *otter.Cache[K, V] }

// New returns an empty Store. It starts no goroutine; [Store.Run] frees expired
// entries.
func New[K comparable, V any](o Options[K, V]) (Store[K, V], error) {
	entries, err := otter.New(&otter.Options[K, V]{
		MaximumWeight: uint64(max(o.Bytes, 1)),
		Weigher:       func(_ K, v V) uint32 { return o.Weigh(v) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[K, V]) time.Duration {
			return o.Lifetime(e.Value)
		}),
		OnAtomicDeletion: o.OnDeletion,
		Clock:            &clock{start: time.Now()},
		Executor:         func(maintain func()) { maintain() },
	})
	if err != nil {
		return Store[K, V]{}, fmt.Errorf("making the entry store: %w", err)
	}
	return Store[K, V]{entries}, nil
}

// clock is the time of [time.Now], without ticks: with it otter starts no goroutine of
// its own, and Run frees expired entries instead.
type clock struct{ start time.Time }

// NowNano implements [otter.Clock].
func (c *clock) NowNano() int64 { return c.start.UnixNano() + int64(time.Since(c.start)) }

// Tick implements [otter.Clock].
func (c *clock) Tick(time.Duration) <-chan time.Time { return nil }

// cleanUpEvery is how often Run frees expired entries.
const cleanUpEvery = time.Second

// Run frees expired entries until ctx is done, then it returns nil. Without Run they
// are freed only when the store needs room.
func (s Store[K, V]) Run(ctx context.Context) error {
	tick := time.NewTicker(cleanUpEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.CleanUp()
		}
	}
}
