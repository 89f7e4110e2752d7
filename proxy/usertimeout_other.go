//go:build !linux

package proxy

import (
	"syscall"
	"time"
)

// userTimeout does nothing where TCP_USER_TIMEOUT does not exist: there a dead connection is found out by keep-alive probes.
func userTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
