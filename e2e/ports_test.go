package e2e

import (
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// freePorts counts the ports that freePort has tried. It begins at a random one.
var freePorts = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(1 << 16))
	return &n
}()

// freePort returns a TCP port that is not in use and that this process has not used
// lately. It is below the range from which the system assigns ports (from 32768 on
// Linux), so that no other program is assigned it before the program of the test
// listens, or while that program is stopped.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(11_000 + int(freePorts.Add(1)%11_000)) // above 10080, which browsers refuse
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// holdPort takes the port of a URL, such as "http://127.0.0.1:40000", until the test
// ends: connections to it are refused, and the system assigns it to no other server,
// which would receive the requests of this test.
func holdPort(t testing.TB, url string) {
	t.Helper()
	port, err := strconv.Atoi(url[strings.LastIndexByte(url, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	syscall.ForkLock.RLock() // so that no program inherits the socket
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(socket)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	// Connections of the former server may still wait for their end.
	if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("holding port %d: %v", port, err)
	}
}
