package e2e

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// doorFault answers a request and reports true, or reports false. over is closed when the
// fault is.
type doorFault func(w http.ResponseWriter, r *http.Request, over <-chan struct{}) bool

// door stands before osemu. It passes requests on, but for those that meet its fault.
type door struct {
	mu     sync.Mutex
	prefix string        // guarded by mu: of the paths that meet it
	fault  doorFault     // guarded by mu; nil: none
	over   chan struct{} // guarded by mu; closed at the fault's end
}

// answers is a handler as [inFrontOf] takes it.
func (d *door) answers(w http.ResponseWriter, r *http.Request) bool {
	d.mu.Lock()
	fault, over, meets := d.fault, d.over, strings.HasPrefix(r.URL.Path, d.prefix)
	d.mu.Unlock()
	return fault != nil && meets && fault(w, r, over)
}

// set begins a fault of requests whose paths have this prefix.
func (d *door) set(prefix string, fault doorFault) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prefix, d.fault, d.over = prefix, fault, make(chan struct{})
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fault = nil
		close(d.over)
	}
}

// doorFaults are the faults of HTTP responses.
var doorFaults = map[string]doorFault{
	"black hole": func(_ http.ResponseWriter, r *http.Request, over <-chan struct{}) bool {
		hold(r, over)
		panic(http.ErrAbortHandler)
	},
	"slow": func(w http.ResponseWriter, _ *http.Request, over <-chan struct{}) bool {
		return byHand(w, func(c net.Conn) {
			for _, b := range []byte("HTTP/1.1 200 OK\r\nX-Slow: " + strings.Repeat("x", 10_000)) {
				if _, err := c.Write([]byte{b}); err != nil || waits(100*time.Millisecond, over) {
					return
				}
			}
		})
	},
	"resets within answers": func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) bool {
		return byHand(w, func(c net.Conn) {
			_, _ = io.WriteString(c, halfAnAnswer)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		})
	},
	"garbage": func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) bool {
		return byHand(w, func(c net.Conn) { _, _ = c.Write(noise(500)) })
	},
	"heads without bodies": func(w http.ResponseWriter, r *http.Request, over <-chan struct{}) bool {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush()
		hold(r, over)
		panic(http.ErrAbortHandler)
	},
	"429 and 500 by turns": func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) bool {
		switch turn.Add(1) % 3 {
		case 0:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	},
	"flapping": func(http.ResponseWriter, *http.Request, <-chan struct{}) bool {
		if time.Now().UnixMilli()/flapTime.Milliseconds()%2 == 0 {
			panic(http.ErrAbortHandler)
		}
		return false
	},
}

// turn counts the requests that meet a fault by turns.
var turn atomic.Int64

// halfAnAnswer is an answer that stops within its body.
const halfAnAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"keyId\":"

// hold returns when the fault is over, or the request is.
func hold(r *http.Request, over <-chan struct{}) {
	select {
	case <-over:
	case <-r.Context().Done():
	}
}

// waits lets this time pass, and reports whether the fault was over before.
func waits(d time.Duration, over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	case <-time.After(d):
		return false
	}
}

// byHand answers on the connection itself, which it closes.
func byHand(w http.ResponseWriter, answer func(net.Conn)) bool {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	answer(c)
	_ = c.Close()
	return true
}
