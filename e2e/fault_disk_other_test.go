//go:build !linux

package e2e

import "testing"

// limitFiles needs Linux, where a process's limits can be set from outside.
func (p *process) limitFiles(uint64) {
	p.t.Helper()
	p.t.Fatal("the disk can be filled on Linux alone")
}

// smallDisk has none.
func smallDisk(*testing.T) string { return "" }

// fill is never called: there is no small disk.
func fill(*testing.T, string) (end func()) { return func() {} }
