//go:build !linux

package e2e

import (
	"errors"
	"testing"
)

// limitFiles needs Linux, where another process can set a process's limits.
func (p *process) limitFiles(uint64) {
	p.t.Helper()
	p.t.Fatal("the disk can be filled only on Linux")
}

// exchangeNames needs Linux.
func exchangeNames(string, string) error { return errors.ErrUnsupported }

// smallDisk returns an empty string.
func smallDisk(*testing.T) string { return "" }

// fill is never called, because there is no small disk.
func fill(*testing.T, string) (end func()) { return func() {} }
