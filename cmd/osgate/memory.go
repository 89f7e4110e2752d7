package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// processBytes is the memory, in bytes, that a gateway may use in addition to its cache
// before the garbage collector works harder than usual.
const processBytes = 240 << 20

// memoryStep is the smallest change of the limit, in bytes, that is applied: each
// change stops the process for some microseconds.
const memoryStep = 4 << 20

// memoryEvery is the interval at which the size of the cache is read.
const memoryEvery = 200 * time.Millisecond

// mostProcessBytes bounds processBytes if more is reachable. The gateway is not made
// for a load beyond it: the collector works hard, and an alert reports it.
const mostProcessBytes = 512 << 20

// memoryLimit returns the memory limit, in bytes, for a cache that holds cached bytes
// and may hold capacity, when the last garbage collection found reachable bytes. The
// limit is the cached bytes, a quarter more for the overhead of the allocator, and
// processBytes. It leaves room for at least an eighth of the reachable bytes: with a
// limit below them the collector would never stop.
func memoryLimit(cached, capacity, reachable int64) int64 {
	return max(withQuarter(cached)+processBytes, min(reachable+reachable/8, withQuarter(capacity)+mostProcessBytes))
}

func withQuarter(n int64) int64 { return n + n/4 }

// boundMemory sets the memory limit of Go's garbage collector according to the size of
// the cache, until the context ends. Without a limit the heap grows to twice the
// reachable bytes. The limit follows the bytes held, not the capacity: memory that the
// cache does not use yet must not be filled with garbage. boundMemory returns at once
// if the operator has set GOMEMLIMIT.
func boundMemory(ctx context.Context, cached func() int64, capacity int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := memoryLimit(cached(), capacity, reachable())
	debug.SetMemoryLimit(limit)
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if next := memoryLimit(cached(), capacity, reachable()); max(next-limit, limit-next) >= memoryStep {
			limit = next
			debug.SetMemoryLimit(limit)
		}
	}
}

// reachable returns the bytes of the objects that the last collection found in use, and
// of all stacks.
func reachable() int64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	var n uint64
	for _, s := range samples {
		n += s.Value.Uint64()
	}
	return int64(n)
}
