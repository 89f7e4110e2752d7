package proxy

import (
	"net/http"
	"time"
)

// answerStep is added to idleTimeout where an answer's deadline is set: the answer may
// stand still for idleTimeout because upstream does, and the deadline may have been set up
// to deadlineStep before that.
const answerStep = 2 * deadlineStep

// answerDeadline bounds how long a client may take over an answer. It counts from the
// answer's head, not from the request's: a body may take any time to arrive. It belongs to
// the goroutine that writes the answer.
type answerDeadline struct {
	conn  *http.ResponseController
	total time.Duration // for the whole answer; 0: none, each write has idleTimeout
	next  time.Time     // when the deadline is to be set anew; zero: it was never set
}

// renew sets the deadline before something is written. A connection without deadlines (a
// test's) has none to set.
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

// disarm takes away the deadlines that net/http has set for a stream of HTTP/2. They are
// timers from the request's head, and end the stream when they fire. Those of a connection
// of HTTP/1 do no harm: they are looked at only while something is read or written, and are
// set anew before that.
func disarm(conn *http.ResponseController, r *http.Request) {
	if r.ProtoMajor > 1 {
		_ = conn.SetReadDeadline(time.Time{})
		_ = conn.SetWriteDeadline(time.Time{})
	}
}

// responseWriter is the way to the client: it counts, bounds how long the client may take,
// and lets no informational answer of upstream pass.
type responseWriter struct {
	http.ResponseWriter
	deadline answerDeadline
	body     *requestBody // of the same exchange; nil: there is none to look at
	status   int          // 0 until the header is written
	bytes    int64
	err      error // the client could not be written to
}

func newResponseWriter(w http.ResponseWriter) *responseWriter {
	return &responseWriter{ResponseWriter: w, deadline: answerDeadline{conn: http.NewResponseController(w)}}
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. A 1xx is dropped: net/http itself sends the "100 Continue" that is due, and ReverseProxy clears
// all headers after one (golang.org/issue/81207).
func (w *responseWriter) WriteHeader(status int) {
	if status < http.StatusOK || w.status != 0 {
		return
	}
	w.status = status
	w.deadline.renew()
	if _, typed := w.Header()["Content-Type"]; !typed {
		w.Header()["Content-Type"] = nil // or net/http would guess one from the value: text/html of what begins like a page
	}
	if w.body != nil && w.body.pending() {
		endsConnection(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// endsConnection has net/http close the connection behind an answer of unknown length that
// is given before the request was read to its end. Such an answer ends with the exchange,
// so that it cannot be cut off where the rest of the request never comes.
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
