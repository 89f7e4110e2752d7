//go:build !unix

package conns

import (
	"errors"
	"net"
)

// canWait reports whether readable works on this system.
const canWait = false

// readable is never called on this system.
func readable(net.Conn) error { return errors.ErrUnsupported }
