//go:build !unix

package telemetry

import "time"

// processorTime is not known here.
func processorTime() (user, kernel time.Duration, ok bool) { return 0, 0, false }
