// Package pace waits for instants more exactly than the timers of Go do: an idle Go
// program rounds the time of its poll up to a millisecond.
package pace

import (
	"runtime"
	"time"
)

// Sleep waits on the thread of [OnThread].
type Sleep struct{}

// OnThread runs f on an operating system thread of its own, on which sleeps end within
// a few microseconds of their time.
func OnThread(f func(Sleep)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpen()
	f(Sleep{})
}

// Until returns at an instant, or at once if it has passed.
func (Sleep) Until(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		sleep(left)
	}
}
