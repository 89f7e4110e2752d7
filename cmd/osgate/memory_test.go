package main

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// keepMemoryLimit removes the memory limit and sets the default GC percent, and
// restores the former ones when the test ends.
func keepMemoryLimit(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(math.MaxInt64), debug.SetGCPercent(leastPercent)
	t.Cleanup(func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	})
}

// garbage is on the heap.
var garbage []byte

// percentNow returns the GC percent.
func percentNow() int {
	percent := debug.SetGCPercent(leastPercent)
	debug.SetGCPercent(percent)
	return percent
}

// TestTheMemoryLimitFollowsTheSizeOfTheCache checks growing and shrinking.
func TestTheMemoryLimitFollowsTheSizeOfTheCache(t *testing.T) {
	keepMemoryLimit(t)
	t.Setenv("GOMEMLIMIT", "")
	synctest.Test(t, func(t *testing.T) {
		var cached atomic.Int64
		go boundMemory(t.Context(), cached.Load, 64<<20)
		for _, tt := range []struct{ cached, limit int64 }{
			{0, 240 << 20},
			{64 << 20, (64 + 16 + 240) << 20},
			{65 << 20, (64 + 16 + 240) << 20}, // smaller than memoryStep
			{16 << 20, (16 + 4 + 240) << 20},
		} {
			cached.Store(tt.cached)
			<-time.After(memoryEvery)
			synctest.Wait()
			if got := debug.SetMemoryLimit(-1); got != tt.limit {
				t.Errorf("with %d bytes in the cache the limit is %d, want %d", tt.cached, got, tt.limit)
			}
		}
	})
}

// TestTheOperatorsMemoryLimitCounts checks that GOMEMLIMIT replaces the gateway's
// limit.
func TestTheOperatorsMemoryLimitCounts(t *testing.T) {
	keepMemoryLimit(t)
	t.Setenv("GOMEMLIMIT", "1GiB")
	t.Setenv("GOGC", "")
	bound(t)
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("in spite of GOMEMLIMIT the limit was set to %d", got)
	}
	if got := percentNow(); got <= leastPercent {
		t.Errorf("with GOMEMLIMIT the GC percent is %d", got)
	}
}

// bound bounds the memory once. The first reading takes all that was allocated for the
// rate.
func bound(t *testing.T) {
	t.Helper()
	garbage = make([]byte, 32<<20)
	garbage = nil
	runtime.GC()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	boundMemory(ctx, func() int64 { return 64 << 20 }, 64<<20)
}

// TestTheOperatorsGCPercentCounts checks that GOGC replaces the gateway's heap floor.
func TestTheOperatorsGCPercentCounts(t *testing.T) {
	keepMemoryLimit(t)
	t.Setenv("GOGC", "100")
	t.Setenv("GOMEMLIMIT", "")
	bound(t)
	if got := percentNow(); got != leastPercent {
		t.Errorf("in spite of GOGC the GC percent was set to %d", got)
	}
	if got := debug.SetMemoryLimit(-1); got == math.MaxInt64 {
		t.Error("with GOGC there is no memory limit")
	}
}

// TestABusyHeapIsCollectedAtTheFloor, within the most percent. A heap of more than half
// of the floor, and that of an idle gateway, are collected as by default.
func TestABusyHeapIsCollectedAtTheFloor(t *testing.T) {
	for _, tt := range []struct {
		reachable, rate int64
		want            int
	}{
		{0, 1 << 30, mostPercent}, // before the first collection
		{2 << 20, 1 << 30, mostPercent},
		{8 << 20, 1 << 30, 500},
		{heapFloor / 4, 1 << 30, 300},
		{heapFloor / 2, 1 << 30, leastPercent},
		{4 << 30, 1 << 30, leastPercent},
		{8 << 20, 0, leastPercent},
		{8 << 20, 60 << 10, leastPercent}, // what an idle gateway allocates
		{8 << 20, 20 << 20, 250},
	} {
		if got := gcPercent(tt.reachable, tt.rate); got != tt.want {
			t.Errorf("%d bytes reachable, %d a second allocated: %d percent, want %d", tt.reachable, tt.rate, got, tt.want)
		}
	}
}

// TestTheMemoryLimitIsAboveTheReachableMemory checks that garbage collection can
// end.
func TestTheMemoryLimitIsAboveTheReachableMemory(t *testing.T) {
	const capacity = 256 << 20
	for _, tt := range []struct{ cached, reachable, want int64 }{
		{0, 20 << 20, 240 << 20},
		{256 << 20, 300 << 20, (256 + 64 + 240) << 20},
		{0, 400 << 20, 450 << 20},
		{256 << 20, 640 << 20, 720 << 20},
		{256 << 20, 4 << 30, (256 + 64 + 512) << 20}, // a leak, which an alert reports
	} {
		if got := memoryLimit(tt.cached, capacity, tt.reachable); got != tt.want {
			t.Errorf("%d bytes in the cache, %d reachable: limit %d, want %d", tt.cached, tt.reachable, got, tt.want)
		}
	}
	kept := make([]byte, 32<<20)
	runtime.GC()
	if n := readUse().reachable; n < int64(len(kept)) {
		t.Errorf("%d bytes are reachable, want %d at least", n, len(kept))
	}
	runtime.KeepAlive(kept)
}
