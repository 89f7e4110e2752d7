//go:build unix

package conns

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// canWait reports whether readable works on this system.
const canWait = true

// errNoSocket reports that a connection is not a socket of the system.
var errNoSocket = errors.New("conns: not a socket")

// readable waits until c has bytes to read or the client has closed it, and reads no
// byte. It ends at c's read deadline, and when c is closed.
func readable(c net.Conn) error {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return errNoSocket
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("reaching the socket: %w", err)
	}
	var next [1]byte
	err = raw.Read(func(descriptor uintptr) bool {
		for {
			_, _, err := syscall.Recvfrom(int(descriptor), next[:], syscall.MSG_PEEK)
			if !errors.Is(err, syscall.EINTR) {
				return !errors.Is(err, syscall.EAGAIN)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("waiting for a client: %w", err)
	}
	return nil
}
