package e2e

import (
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// flapTime is the minimum time for which a flapping proxy is open or closed. It takes
// up to twice as long, at random, so that it does not stay in step with periodic
// requests.
const flapTime = 200 * time.Millisecond

// proxyFaults are the faults of a TCP proxy. Each returns a function that ends it.
var proxyFaults = map[string]func(*tcpProxy) (end func()){
	"refused":       func(w *tcpProxy) func() { w.t.Helper(); w.proxy.Stop(); return w.restart },
	"SYN swallowed": func(w *tcpProxy) func() { w.t.Helper(); return w.swallowConnections() },
	"black hole":    func(w *tcpProxy) func() { w.t.Helper(); w.blackHole(toClient); return w.heal },
	"slow":          func(w *tcpProxy) func() { w.t.Helper(); w.addOwnToxic("drip"); return w.heal },
	"resets": func(w *tcpProxy) func() {
		w.t.Helper()
		w.addFault("reset_peer", toClient, "timeout", 0)
		return w.heal
	},
	"garbage":  func(w *tcpProxy) func() { w.t.Helper(); w.addOwnToxic("garbage"); return w.heal },
	"flapping": func(w *tcpProxy) func() { w.t.Helper(); return w.flap() },
}

// onProxies returns a fault of the proxies of an ordeal.
func onProxies(fault func(*tcpProxy) (end func())) func(*faultRun) func() {
	return func(r *faultRun) func() {
		r.Helper()
		var ends []func()
		for _, w := range r.proxies {
			ends = append(ends, fault(w))
		}
		return func() {
			for _, end := range ends {
				end()
			}
		}
	}
}

// restart opens the proxy again, at its former address.
func (w *tcpProxy) restart() {
	w.t.Helper()
	if err := untilClosedEverywhere(w.proxy.Start); err != nil {
		w.t.Errorf("opening the %s again: %v", w.proxy.Name, err)
	}
}

// untilClosedEverywhere calls listen until it returns no error, for ten seconds at most.
// A child process between fork and exec has a copy of each socket of this process, so
// the address of a listener that was just closed can still be in use.
func untilClosedEverywhere(listen func() error) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := listen()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-time.After(5 * time.Millisecond)
	}
}

// swallowConnections closes the proxy and listens at its address with a full queue: the
// kernel drops new connections.
func (w *tcpProxy) swallowConnections() (end func()) {
	w.t.Helper()
	w.proxy.Stop()
	var l net.Listener
	err := untilClosedEverywhere(func() (err error) {
		l, err = net.Listen("tcp", w.proxy.Listen)
		return err
	})
	if err != nil {
		w.t.Fatalf("listening at the address of the %s: %v", w.proxy.Name, err)
	}
	fillQueue(w.t, l)
	var filling []net.Conn
	for range 8 {
		c, err := net.DialTimeout("tcp", w.proxy.Listen, 200*time.Millisecond)
		if err != nil {
			break // swallowed
		}
		filling = append(filling, c)
	}
	return func() {
		w.t.Helper()
		_ = l.Close()
		for _, c := range filling {
			_ = c.Close()
		}
		w.restart()
	}
}

// fillQueue fills the queue of connections of a listener.
func fillQueue(t testing.TB, l net.Listener) {
	t.Helper()
	socket, ok := l.(syscall.Conn)
	if !ok {
		t.Fatalf("%T is no socket", l)
	}
	control, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := control.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), 0) }); err != nil || failed != nil {
		t.Fatalf("listening with a full queue: %v, %v", err, failed)
	}
}

// garbage is a toxic that replaces each byte by another one. drip is a toxic that sends
// one byte each 20 ms. At their end they do not wait for a reader, which may have left,
// and they close their connections.
type (
	garbage struct{}
	drip    struct{}
)

// Pipe implements [toxics.Toxic].
func (*garbage) Pipe(stub *toxics.ToxicStub) {
	forwardChunks(stub, func(data []byte) bool { return forwardBytes(stub, randomBytes(len(data))) })
}

// Pipe implements [toxics.Toxic].
func (*drip) Pipe(stub *toxics.ToxicStub) {
	forwardChunks(stub, func(data []byte) bool {
		for i := range data {
			if !forwardBytes(stub, data[i:i+1]) {
				return false
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-stub.Interrupt:
				return false
			}
		}
		return true
	})
}

// Cleanup implements [toxics.CleanupToxic].
func (*garbage) Cleanup(stub *toxics.ToxicStub) { stub.Close() }

// Cleanup implements [toxics.CleanupToxic].
func (*drip) Cleanup(stub *toxics.ToxicStub) { stub.Close() }

// forwardChunks forwards data until the connection or the toxic ends.
func forwardChunks(stub *toxics.ToxicStub, each func(data []byte) bool) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if !each(c.Data) {
				return
			}
		}
	}
}

// forwardBytes forwards bytes, and returns false if the toxic was ended before.
func forwardBytes(stub *toxics.ToxicStub, data []byte) bool {
	select {
	case stub.Output <- &stream.StreamChunk{Data: data, Timestamp: time.Now()}:
		return true
	case <-stub.Interrupt:
		return false
	}
}

// randomBytes returns n random bytes.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.IntN(256))
	}
	return b
}

// registerToxics registers the toxics of this file with toxiproxy.
var registerToxics = sync.OnceFunc(func() {
	toxics.Register("garbage", new(garbage))
	toxics.Register("drip", new(drip))
})

// addOwnToxic starts a toxic of this file for responses.
func (w *tcpProxy) addOwnToxic(kind string) {
	w.t.Helper()
	registerToxics()
	w.addToxic(kind, toClient, nil)
}

// flap closes and opens the proxy in turn.
func (w *tcpProxy) flap() (end func()) {
	w.t.Helper()
	return alternate(w.proxy.Stop, w.restart)
}

// alternate calls the two functions in turn until it is ended. The second function is
// called last.
func alternate(down, up func()) (end func()) {
	ended, over := make(chan struct{}), make(chan struct{})
	ends := func() bool {
		select {
		case <-time.After(flapTime + rand.N(flapTime)):
			return false
		case <-ended:
			return true
		}
	}
	go func() { // ends with ended
		defer close(over)
		for enough := false; !enough; {
			down()
			enough = ends()
			up()
			enough = enough || ends()
		}
	}()
	return func() {
		close(ended)
		<-over
	}
}
