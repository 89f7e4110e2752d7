package proxy

import (
	"math"
	"net/http"
)

// plainWriter writes to a client of [Plain]. It bounds how long the client may take.
type plainWriter struct {
	http.ResponseWriter
	deadline answerDeadline
}

// withDeadlines returns w and r with the gateway's own deadlines in place of
// net/http's, and a function that ends their use.
func withDeadlines(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, func()) {
	conn := http.NewResponseController(w)
	clearDeadlines(conn, r)
	w = &plainWriter{w, answerDeadline{conn: *conn}}
	if r.Body == nil || r.Body == http.NoBody {
		return w, r, func() {}
	}
	body := newRequestBody(w, r, math.MaxInt64)
	r = r.WithContext(r.Context())
	r.Body = body
	return w, r, body.finish
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *plainWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w *plainWriter) WriteHeader(status int) {
	w.deadline.renew()
	if _, typed := w.Header()["Content-Type"]; !typed && status >= http.StatusOK {
		w.Header()["Content-Type"] = nil // or net/http would guess one
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *plainWriter) Write(p []byte) (int, error) {
	w.deadline.renew()
	return w.ResponseWriter.Write(p)
}
