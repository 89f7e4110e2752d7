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

// flapTime is how long something that flaps is there, and not there, in turn: so long at
// least, and up to twice as long, or it would keep step with what asks at intervals.
const flapTime = 200 * time.Millisecond

// wayFaults are what may go wrong with a TCP way. Each returns how it is made good.
var wayFaults = map[string]func(*way) (end func()){
	"refused":       func(w *way) func() { w.t.Helper(); w.proxy.Stop(); return w.restart },
	"SYN swallowed": func(w *way) func() { w.t.Helper(); return w.swallow() },
	"black hole":    func(w *way) func() { w.t.Helper(); w.hole(back); return w.heal },
	"slow":          func(w *way) func() { w.t.Helper(); w.ours("drip"); return w.heal },
	"resets":        func(w *way) func() { w.t.Helper(); w.trouble("reset_peer", back, "timeout", 0); return w.heal },
	"garbage":       func(w *way) func() { w.t.Helper(); w.ours("garbage"); return w.heal },
	"flapping":      func(w *way) func() { w.t.Helper(); return w.flap() },
}

// onWays makes a fault of the ways of an ordeal.
func onWays(fault func(*way) (end func())) func(*ordeal) func() {
	return func(r *ordeal) func() {
		r.Helper()
		var ends []func()
		for _, w := range r.ways {
			ends = append(ends, fault(w))
		}
		return func() {
			for _, end := range ends {
				end()
			}
		}
	}
}

// restart opens the way again, at its former address.
func (w *way) restart() {
	w.t.Helper()
	if err := w.proxy.Start(); err != nil {
		w.t.Errorf("opening the %s again: %v", w.proxy.Name, err)
	}
}

// swallow closes the way, and listens at its address without room for a connection: the
// kernel drops what would begin one.
func (w *way) swallow() (end func()) {
	w.t.Helper()
	w.proxy.Stop()
	l, err := net.Listen("tcp", w.proxy.Listen)
	if err != nil {
		w.t.Fatalf("listening at the address of the %s: %v", w.proxy.Name, err)
	}
	full(w.t, l)
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

// full leaves a listener no room for connections that wait to be accepted.
func full(t testing.TB, l net.Listener) {
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
		t.Fatalf("listening without room: %v, %v", err, failed)
	}
}

// garbage is a toxic: other bytes in the place of each. drip is a toxic: one byte each 20 ms.
// Both wait for no reader that may be gone when they are to end, and end their connections
// then.
type (
	garbage struct{}
	drip    struct{}
)

// Pipe implements [toxics.Toxic].
func (*garbage) Pipe(stub *toxics.ToxicStub) {
	pass(stub, func(data []byte) bool { return put(stub, noise(len(data))) })
}

// Pipe implements [toxics.Toxic].
func (*drip) Pipe(stub *toxics.ToxicStub) {
	pass(stub, func(data []byte) bool {
		for i := range data {
			if !put(stub, data[i:i+1]) {
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

// pass hands on what comes, until the connection or the toxic ends.
func pass(stub *toxics.ToxicStub, each func(data []byte) bool) {
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

// put hands bytes on, and reports false where the toxic was ended before.
func put(stub *toxics.ToxicStub, data []byte) bool {
	select {
	case stub.Output <- &stream.StreamChunk{Data: data, Timestamp: time.Now()}:
		return true
	case <-stub.Interrupt:
		return false
	}
}

// noise returns so many bytes at random.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.IntN(256))
	}
	return b
}

// register makes our toxics known to toxiproxy.
var register = sync.OnceFunc(func() {
	toxics.Register("garbage", new(garbage))
	toxics.Register("drip", new(drip))
})

// ours begins a toxic of ours, of what is answered.
func (w *way) ours(kind string) {
	w.t.Helper()
	register()
	w.toxic(kind, back, nil)
}

// flap closes and opens the way in turn.
func (w *way) flap() (end func()) {
	w.t.Helper()
	return inTurn(w.proxy.Stop, w.restart)
}

// inTurn calls the two functions in turn until it is ended; the second one is the last.
func inTurn(down, up func()) (end func()) {
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
