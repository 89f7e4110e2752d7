package proxy

import (
	"math"
	"net/http"
	"time"
)

// answerStep is added to idleTimeout in the deadline of an answer: the answer may stand
// still for idleTimeout because upstream does, and the deadline may have been set up to
// deadlineStep earlier.
const answerStep = 2 * deadlineStep

// answerDeadline bounds how long a client may take to read an answer. The time starts
// at the answer's header, not at the request's: a request body may take any time to
// arrive. It belongs to the goroutine that writes the answer.
type answerDeadline struct {
	conn  http.ResponseController
	total time.Duration // for the whole answer; 0: none, each write has idleTimeout
	next  time.Time     // when the deadline must be set again; zero: it was never set
}

// renew sets the deadline before a write. A connection without deadlines (in a test)
// ignores it.
func (d *answerDeadline) renew() {
	now := time.Now()
	switch {
	case d.total > 0 && d.next.IsZero():
		_ = d.conn.SetWriteDeadline(now.Add(d.total))
		d.next = now
	case d.total == 0 && !now.Before(d.next):
		_ = d.conn.SetWriteDeadline(now.Add(idleTimeout + answerStep))
		d.next = now.Add(deadlineStep)
	}
}

// clearDeadlines removes the deadlines that net/http has set for an HTTP/2 stream. They
// are timers from the request's header, and end the stream when they fire. Those of an
// HTTP/1 connection have no effect: they are checked only during reads and writes, and
// are set again before those.
func clearDeadlines(conn *http.ResponseController, r *http.Request) {
	if r.ProtoMajor > 1 {
		_ = conn.SetReadDeadline(time.Time{})
		_ = conn.SetWriteDeadline(time.Time{})
	}
}

// responseWriter writes to the client. It counts bytes, bounds how long the client may
// take, and drops informational answers of upstream.
type responseWriter struct {
	http.ResponseWriter
	deadline answerDeadline
	body     *requestBody // of the same exchange; nil: no body
	status   int          // 0 until the header is written
	bytes    int64
	err      error // why the client could not be written to; nil: it could
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. It drops a 1xx: net/http itself sends a
// required "100 Continue", and ReverseProxy clears all headers after one
// (golang.org/issue/81207).
func (w *responseWriter) WriteHeader(status int) {
	if status < http.StatusOK || w.status != 0 {
		return
	}
	w.status = status
	w.deadline.renew()
	if _, typed := w.Header()["Content-Type"]; !typed {
		// Otherwise net/http guesses one from the value: text/html if it begins like a page.
		w.Header()["Content-Type"] = nil
	}
	if w.body != nil && w.body.pending() {
		endsConnection(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// endsConnection makes net/http close the connection after an answer of unknown length
// that is sent before the request was read to its end. Such an answer ends with the
// exchange, so it must not be cut off because the rest of the request never arrives.
func endsConnection(h http.Header) {
	if h.Get("Content-Length") == "" {
		h.Set("Connection", "close")
	}
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.deadline.renew()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

// Bounded returns a handler that calls next with the gateway's own deadlines in place of
// net/http's: a body, of the request or the answer, may stand still for a minute, and
// take any time.
func Bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, r, done := withDeadlines(w, r)
		defer done()
		next.ServeHTTP(w, r)
	})
}

// withDeadlines returns w and r with the gateway's own deadlines in place of
// net/http's, and a function that ends their use.
func withDeadlines(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, func()) {
	conn := http.NewResponseController(w)
	clearDeadlines(conn, r)
	w = &boundedWriter{w, answerDeadline{conn: *conn}}
	if r.Body == nil || r.Body == http.NoBody {
		return w, r, func() {}
	}
	body := new(requestBody)
	body.start(w, r, math.MaxInt64)
	r = r.WithContext(r.Context())
	r.Body = body
	return w, r, body.finish
}

// boundedWriter bounds how long the client may take.
type boundedWriter struct {
	http.ResponseWriter
	deadline answerDeadline
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *boundedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w *boundedWriter) WriteHeader(status int) {
	w.deadline.renew()
	if _, typed := w.Header()["Content-Type"]; !typed && status >= http.StatusOK {
		w.Header()["Content-Type"] = nil // or net/http would guess one
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *boundedWriter) Write(p []byte) (int, error) {
	w.deadline.renew()
	return w.ResponseWriter.Write(p)
}
