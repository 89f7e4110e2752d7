//go:build !unix

package metrics

import "time"

// processorTime is not available on this system.
func processorTime() (user, kernel time.Duration, ok bool) { return 0, 0, false }
