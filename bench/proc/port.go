package proc

import (
	"net"
)

// FreePort returns a TCP port of loopback that is free at this moment.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil //nolint:errcheck // the address of a TCP listener
}
