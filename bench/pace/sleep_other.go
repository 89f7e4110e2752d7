//go:build !linux

package pace

import "time"

// sharpen has no effect: only Linux has a setting for it.
func sharpen() {}

// sleep waits by a timer of Go, which may be a millisecond late.
func sleep(d time.Duration) { time.Sleep(d) }
