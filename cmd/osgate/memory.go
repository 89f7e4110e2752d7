package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// processBytes is the memory that a gateway may use beside its cache before the garbage
// collector works harder than usual.
const processBytes = 240 << 20

// memoryStep is the least change of the limit that is worth setting: it stops the process
// for some microseconds.
const memoryStep = 4 << 20

// memoryEvery is the time between two looks at the cache.
const memoryEvery = 200 * time.Millisecond

// mostProcessBytes bounds processBytes where more is reachable. What is beyond it is no
// load that the gateway is made for: the collector works hard, and an alert reports it.
const mostProcessBytes = 512 << 20

// memoryLimit returns the limit of a process whose cache holds so many bytes and may hold
// capacity, and in which so many bytes were reachable when garbage was last collected.
// The limit is the cached bytes, a quarter more for what the allocator adds, and
// processBytes. It leaves an eighth of the reachable bytes at least: at a limit below
// them the collector would never stop.
func memoryLimit(cached, capacity, reachable int64) int64 {
	return max(withQuarter(cached)+processBytes, min(reachable+reachable/8, withQuarter(capacity)+mostProcessBytes))
}

func withQuarter(n int64) int64 { return n + n/4 }

// boundMemory sets the memory limit of Go's garbage collector by what the cache holds,
// until the context ends. Without a limit the heap grows to twice the reachable bytes.
// The limit follows what is held and not what may be held, capacity: memory that the
// cache does not use yet must not go to garbage. It returns at once where the operator
// has set GOMEMLIMIT.
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
