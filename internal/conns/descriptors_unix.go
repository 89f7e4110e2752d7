//go:build unix

package conns

import (
	"math"
	"syscall"
)

// Descriptors returns how many file descriptors this process may have open. Go raises
// the soft limit to the hard limit at the start of the process.
func Descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return assumed
	}
	return int(min(uint64(limit.Cur), math.MaxInt32)) //nolint:unconvert // signed on some systems
}
