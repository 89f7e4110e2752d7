package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deadlines is a response writer that records the latest read deadline.
type deadlines struct {
	http.ResponseWriter
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = t
	return nil
}

// TestAnInterruptedBodyStaysInterrupted checks that a read that begins while the body
// is interrupted gives the client no more time.
func TestAnInterruptedBodyStaysInterrupted(t *testing.T) {
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(strings.Repeat("x", 100)))
	b := newRequestBody(w, r, 1<<20)
	var some [10]byte
	if _, err := b.Read(some[:]); err != nil || !w.read.After(time.Now()) {
		t.Fatalf("the first read has the deadline %v, %v; want one ahead", w.read, err)
	}
	b.interrupt()
	b.next = time.Time{} // a second has passed, so the next read sets the deadline again
	_, _ = b.Read(some[:])
	if w.read.After(time.Now()) {
		t.Errorf("after the interruption a read has until %v", w.read)
	}
}
