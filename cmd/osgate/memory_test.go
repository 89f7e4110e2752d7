package main

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestMemoryIsBoundUnlessTheOperatorSaysOtherwise(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64)
	t.Setenv("GOMEMLIMIT", "1GiB")
	boundMemory(64 << 20)
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("in spite of GOMEMLIMIT the limit was set to %d", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	boundMemory(64 << 20)
	if got, want := debug.SetMemoryLimit(-1), int64((64+16+256)<<20); got != want {
		t.Errorf("limit %d, want %d", got, want)
	}
}
