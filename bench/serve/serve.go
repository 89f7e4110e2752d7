// Package serve holds the servers of a measurement that are not under test, or are
// there to compare with: the origin, a bare handler, a bare reverse proxy, a receiver
// of telemetry, and a proxy that delays all data. Each runs in a process of its own,
// so that its processor time can be told apart, and prints its address as the first
// line.
package serve

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Run runs the server that name names, until it fails. It returns false if there is no
// such server.
func Run(name string, arguments []string) (bool, error) {
	var err error
	switch {
	case name == "origin" && len(arguments) == 1:
		err = origin(arguments[0])
	case name == "bare" && len(arguments) == 0:
		err = listen(bare())
	case name == "proxy" && len(arguments) == 2:
		err = proxy(arguments[0], arguments[1])
	case name == "sink" && len(arguments) == 0:
		err = listen(http.HandlerFunc(sink))
	case name == "delay" && len(arguments) == 2:
		err = delay(arguments[0], arguments[1])
	default:
		return false, nil
	}
	return true, err
}

// listen serves a handler on a free port of loopback.
func listen(h http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "http://%s\n", listener.Addr())
	return newServer(h).Serve(listener)
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
}
