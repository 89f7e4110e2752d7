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

// Wire is a TCP proxy to a [Server] on a loopback port. It counts how often its clients
// wait for an answer, and can delay all data. Its methods are safe for concurrent use.
type Wire struct {
	listener net.Listener
	target   string
	delay    atomic.Int64 // delay in each direction, in nanoseconds
	trips    atomic.Int64
	running  sync.WaitGroup

	mu    sync.Mutex // guards the fields below
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

// Lengthen makes all data that is sent from now on arrive later by delay, in each
// direction. Data never waits for the data before it, whatever amount is under way.
func (w *Wire) Lengthen(delay time.Duration) { w.delay.Store(int64(delay)) }

// Trips returns the number of round trips that were begun: how often a client sent data
// to the server on a new connection, or on one that had received data since.
func (w *Wire) Trips() int { return int(w.trips.Load()) }

// accept connects clients until the listener is closed.
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

// keep stores a connection's two ends, so that stop can close them, and reports false
// if stop was called already.
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

// chunk is a number of bytes and the time when they arrive.
type chunk struct {
	data []byte
	due  time.Time
}

// carry starts to copy data from one end to the other. passing is called for each chunk
// when it arrives. It continues until one of the ends is closed, and then closes both.
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
			_, _ = to.Write(c.data) // the reader sees a closed end too
		}
		from.Close()
		to.Close()
	})
}

// stop ends all connections and waits until no data is under way.
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
