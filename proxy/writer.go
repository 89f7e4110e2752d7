package proxy

import (
	"net/http"
	"time"
)

// responseWriter is the way to the client: it counts, bounds idle time, and lets no informational answer of upstream pass.
type responseWriter struct {
	http.ResponseWriter
	deadline *http.ResponseController
	next     time.Time // when the write deadline is to be set anew
	status   int       // 0 until the header is written
	bytes    int64
	err      error // the client could not be written to
}

func newResponseWriter(w http.ResponseWriter) *responseWriter {
	return &responseWriter{ResponseWriter: w, deadline: http.NewResponseController(w)}
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
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if now := time.Now(); !now.Before(w.next) {
		_ = w.deadline.SetWriteDeadline(now.Add(idleTimeout)) // a connection without deadlines (tests) has none to set
		w.next = now.Add(deadlineStep)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}
