//go:build unix

package metrics

import (
	"syscall"
	"time"
)

// processorTime returns the CPU time of this process, in user mode and in the kernel.
func processorTime() (user, kernel time.Duration, ok bool) {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0, 0, false
	}
	return time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano()), true
}
