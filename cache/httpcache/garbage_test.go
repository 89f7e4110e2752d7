package httpcache

import (
	"net/http"
	"testing"
	"time"
)

// sink is a client that discards the answer. It uses its header again.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             { clear(s.header) }

// The work of each request makes little garbage: a hit the value of Age, an answer that
// is kept its header in three pieces and its validator.
func TestKeepingAndServingMakeLittleGarbage(t *testing.T) {
	upstream := http.Header{
		"Content-Type": {"application/json"}, "Date": {"Tue, 01 Dec 2026 15:00:00 GMT"}, "X-Content-Type-Options": {"nosniff"},
		"X-Request-Id": {"a"}, "X-Frame-Options": {"DENY"},
	}
	body, now := make([]byte, 100), time.Now()
	r := Response{Status: http.StatusOK, Header: Impersonal(upstream, false), Body: body, RequestedAt: now}
	r.Header["Content-Length"] = []string{"100"}
	w, request := sink{http.Header{}}, http.Header{}
	for name, tt := range map[string]struct {
		most float64
		do   func()
	}{
		"serving a hit":        {1, func() { _, _ = r.Serve(w, request, now) }},
		"keeping a header":     {3, func() { Impersonal(upstream, false) }},
		"making the validator": {1, func() { OwnETag("application/json", body) }},
	} {
		if n := testing.AllocsPerRun(100, tt.do); n > tt.most {
			t.Errorf("%s: %v allocations, want %v at most", name, n, tt.most)
		}
	}
}
