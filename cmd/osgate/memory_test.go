package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// keepMemoryLimit removes the memory limit and restores the former one when the test
// ends.
func keepMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
}

// TestTheMemoryLimitFollowsWhatTheCacheHolds checks growing and shrinking.
func TestTheMemoryLimitFollowsWhatTheCacheHolds(t *testing.T) {
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
	boundMemory(t.Context(), func() int64 { return 64 << 20 }, 64<<20)
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("in spite of GOMEMLIMIT the limit was set to %d", got)
	}
}

// TestTheMemoryLimitLeavesRoomAboveWhatIsReachable checks that garbage collection can
// end.
func TestTheMemoryLimitLeavesRoomAboveWhatIsReachable(t *testing.T) {
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
	if n := reachable(); n < int64(len(kept)) {
		t.Errorf("%d bytes are reachable, want %d at least", n, len(kept))
	}
	runtime.KeepAlive(kept)
}
