package main

import (
	"os"
	"runtime/debug"
)

// processBytes is what a gateway may take beside its cache.
const processBytes = 256 << 20

// memoryLimit is what a gateway with a cache of so many bytes is meant to take: the entries, a quarter more for answers on their way in, and the rest.
func memoryLimit(cacheBytes int64) int64 { return cacheBytes + cacheBytes/4 + processBytes }

// boundMemory has the garbage collector work harder before the process takes more than memoryLimit: by itself it lets the heap grow to twice what is
// in use, and a full cache is in use. GOMEMLIMIT, where it is set, is the operator's own word.
func boundMemory(cacheBytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit(cacheBytes))
	}
}
