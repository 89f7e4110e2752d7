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

// httpFault answers a request and reports true, or reports false. over is closed when
// the fault ends.
type httpFault func(w http.ResponseWriter, r *http.Request, over <-chan struct{}) bool

// httpFaultProxy is a proxy in front of osemu. It passes on the requests that are not
// affected by its fault.
type httpFaultProxy struct {
	mu     sync.Mutex
	prefix string        // guarded by mu: prefix of the affected paths
	fault  httpFault     // guarded by mu; nil: none
	ended  chan struct{} // guarded by mu; closed at the fault's end
}

// handle is a handler for [startProxy].
func (d *httpFaultProxy) handle(w http.ResponseWriter, r *http.Request) bool {
	d.mu.Lock()
	fault, over, meets := d.fault, d.ended, strings.HasPrefix(r.URL.Path, d.prefix)
	d.mu.Unlock()
	return fault != nil && meets && fault(w, r, over)
}

// setFault begins a fault of requests whose paths have this prefix.
func (d *httpFaultProxy) setFault(prefix string, fault httpFault) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prefix, d.fault, d.ended = prefix, fault, make(chan struct{})
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fault = nil
		close(d.ended)
	}
}

// httpFaults are the faults of HTTP responses.
var httpFaults = map[string]httpFault{
	"black hole": func(_ http.ResponseWriter, r *http.Request, over <-chan struct{}) bool {
		waitForEnd(r, over)
		panic(http.ErrAbortHandler)
	},
	"slow": func(w http.ResponseWriter, _ *http.Request, over <-chan struct{}) bool {
		return answerByHand(w, func(c net.Conn) {
			for _, b := range []byte("HTTP/1.1 200 OK\r\nX-Slow: " + strings.Repeat("x", 10_000)) {
				if _, err := c.Write([]byte{b}); err != nil || endedWithin(100*time.Millisecond, over) {
					return
				}
			}
		})
	},
	"resets within answers": func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) bool {
		return answerByHand(w, func(c net.Conn) {
			_, _ = io.WriteString(c, truncatedAnswer)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		})
	},
	"garbage": func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) bool {
		return answerByHand(w, func(c net.Conn) { _, _ = c.Write(randomBytes(500)) })
	},
	"heads without bodies": func(w http.ResponseWriter, r *http.Request, over <-chan struct{}) bool {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush()
		waitForEnd(r, over)
		panic(http.ErrAbortHandler)
	},
	"429 and 500 by turns": func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) bool {
		switch faultTurn.Add(1) % 3 {
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

// faultTurn counts the requests that are affected by a fault by turns.
var faultTurn atomic.Int64

// truncatedAnswer is an answer that stops within its body.
const truncatedAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"keyId\":"

// waitForEnd returns when the fault or the request has ended.
func waitForEnd(r *http.Request, over <-chan struct{}) {
	select {
	case <-over:
	case <-r.Context().Done():
	}
}

// endedWithin waits for this time, and reports whether the fault has ended before.
func endedWithin(d time.Duration, over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	case <-time.After(d):
		return false
	}
}

// answerByHand writes the answer to the connection itself, and closes the connection.
func answerByHand(w http.ResponseWriter, answer func(net.Conn)) bool {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	answer(c)
	_ = c.Close()
	return true
}
