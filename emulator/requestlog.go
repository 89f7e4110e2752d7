package emulator

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Request is one request as the emulator received it.
type Request struct {
	Time   time.Time `json:"time"`
	Host   string    `json:"host"`
	Method string    `json:"method"`
	// Target is the path and query exactly as on the wire.
	Target string `json:"target"`
	// Client is the client id that its token belongs to, empty for a user's or for
	// none.
	Client string `json:"client"`
	// Status is 0 until the answer is known, and for a connection that was reset.
	Status int `json:"status"`
	// Headers are the names of its header fields in canonical form, sorted.
	Headers []string `json:"headers"`
	// Traceparent is the value of that field (W3C Trace Context), which contains no
	// secret.
	Traceparent string `json:"traceparent,omitempty"`
}

// Requests returns the requests received since the start or the last ForgetRequests,
// the oldest first, and at most the latest 100,000.
func (e *Emulator) Requests() []Request { return e.requests.all() }

// ForgetRequests empties the list that Requests returns.
func (e *Emulator) ForgetRequests() { e.requests.clear() }

// The log keeps only the latest requests, limited by number and by size.
const (
	maxRequests     = 100_000
	maxRequestBytes = 64 << 20
)

// requestLog contains the received requests, in the order in which they arrived. It is
// safe for concurrent use.
type requestLog struct {
	mu    sync.Mutex // guards the fields below
	list  []*Request
	bytes int
}

// add records that x has been received.
func (l *requestLog) add(x *exchange, now time.Time) *Request {
	entry := &Request{
		Time: now, Host: x.in.Host, Method: x.in.Method, Target: x.target, Client: x.client,
		Headers:     append([]string{}, slices.Sorted(maps.Keys(x.in.Header))...), // [] if there are none
		Traceparent: x.in.Header.Get("Traceparent"),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, entry)
	l.bytes += entry.size()
	for len(l.list) > maxRequests || l.bytes > maxRequestBytes {
		l.bytes -= l.list[0].size()
		l.list[0], l.list = nil, l.list[1:]
	}
	return entry
}

// size is the approximate memory of an entry in bytes.
func (r *Request) size() int {
	n := 200 + len(r.Host) + len(r.Method) + len(r.Target) + len(r.Client) + len(r.Traceparent)
	for _, name := range r.Headers {
		n += 16 + len(name)
	}
	return n
}

// answered records the status of an entry, before the client can receive it.
func (l *requestLog) answered(entry *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Status = status
}

// all returns a copy of the log, the oldest request first.
func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Request, 0, len(l.list))
	for _, entry := range l.list {
		list = append(list, *entry)
	}
	return list
}

// clear empties the log.
func (l *requestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list, l.bytes = nil, 0
}
