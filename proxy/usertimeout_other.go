//go:build !linux

package proxy

import (
	"syscall"
	"time"
)

// userTimeout does nothing on systems without TCP_USER_TIMEOUT. There keep-alive probes
// detect a dead connection.
func userTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
