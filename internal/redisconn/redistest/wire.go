package redistest

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wireBuffer is how many chunks may be under way in one direction of a connection.
const wireBuffer = 1024

// Wire is the way to a [Server]: a TCP proxy on a loopback port that counts how often
// those who use it wait for an answer, and makes the way longer. Its methods are safe
// for concurrent use.
type Wire struct {
	listener net.Listener
	target   string
	delay    atomic.Int64 // each way, in nanoseconds
	trips    atomic.Int64
	running  sync.WaitGroup

	mu    sync.Mutex // guards all below
	conns map[net.Conn]bool
	cut   bool // no more connections
}

// NewWire starts a wire to s. It ends with the test.
func NewWire(t testing.TB, s *Server) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("opening a port for a wire: %v", err)
	}
	w := &Wire{listener: l, target: s.Addr(), conns: map[net.Conn]bool{}}
	w.running.Go(w.accept)
	t.Cleanup(w.stop)
	return w
}

// URL returns the wire's address as a redis:// URL of database 0.
func (w *Wire) URL() string { return "redis://" + w.listener.Addr().String() + "/0" }

// Lengthen makes all that is sent from now on arrive so much later, in each direction.
// However much is under way at once, nothing waits for what went before it.
func (w *Wire) Lengthen(delay time.Duration) { w.delay.Store(int64(delay)) }

// Trips returns how many round trips were begun: how often something was sent to the
// server on a connection that was new or had received since.
func (w *Wire) Trips() int { return int(w.trips.Load()) }

// accept connects those who come, until the listener is closed.
func (w *Wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp", w.target, patience)
		if err != nil {
			client.Close()
			continue
		}
		if !w.keep(client, server) {
			return
		}
		received := &atomic.Bool{}
		received.Store(true)
		w.carry(client, server, func() {
			if received.Swap(false) {
				w.trips.Add(1)
			}
		})
		w.carry(server, client, func() { received.Store(true) })
	}
}

// keep remembers a connection's two ends so that stop can end them, and reports false
// where it has come already.
func (w *Wire) keep(ends ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range ends {
		if w.cut {
			c.Close()
			continue
		}
		w.conns[c] = true
	}
	return !w.cut
}

// chunk is some bytes and when they arrive.
type chunk struct {
	data []byte
	due  time.Time
}

// carry starts to copy what comes from one end to the other; passing is called for each
// chunk when it arrives. It goes on until one of the ends is closed, and closes both.
func (w *Wire) carry(from, to net.Conn, passing func()) {
	under := make(chan chunk, wireBuffer)
	w.running.Go(func() {
		defer close(under)
		room := make([]byte, 16<<10)
		for {
			n, err := from.Read(room)
			if n > 0 {
				under <- chunk{bytes.Clone(room[:n]), time.Now().Add(time.Duration(w.delay.Load()))}
			}
			if err != nil {
				return
			}
		}
	})
	w.running.Go(func() {
		for c := range under {
			if left := time.Until(c.due); left > 0 {
				<-time.After(left)
			}
			passing()
			_, _ = to.Write(c.data) // an end that is closed is seen by the reader, too
		}
		from.Close()
		to.Close()
	})
}

// stop ends all connections and waits until nothing is under way.
func (w *Wire) stop() {
	w.listener.Close()
	w.mu.Lock()
	w.cut = true
	for c := range w.conns {
		c.Close()
	}
	w.mu.Unlock()
	w.running.Wait()
}
