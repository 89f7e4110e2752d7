package e2e

import (
	"net/http"
	"testing"
)

// TestBrowsersAndProbesAreAnswered: a page of a listed origin may send requests, other
// pages may not. The answers to / and /healthz name the service.
func TestBrowsersAndProbesAreAnswered(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	closed, open := s.gateway("RATE=0"), s.gateway("RATE=0", "CORS_ORIGINS=https://app.example.com")
	s.emulator.clearRequests()
	preflight := []string{"Origin: https://app.example.com", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization,content-type"}
	closed.client().send(http.MethodOptions, keyOne, "", preflight...).checkRefusal(http.StatusForbidden, "bad-request")
	a := open.client().send(http.MethodOptions, keyOne, "", preflight...).is(http.StatusNoContent)
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "https://app.example.com" {
		t.Errorf("Access-Control-Allow-Origin is %q in the answer to a preflight", got)
	}
	for _, path := range []string{"/", "/healthz"} {
		var said struct{ Service, Status string }
		a := closed.client().get(path).is(http.StatusOK)
		if a.decode(&said); said.Service != "osgate" || said.Status != "ok" {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if seen := s.emulator.requests(); len(seen) > 0 {
		t.Errorf("osemu received %v, want no request", seen)
	}
	one := open.as("app-one").with("Origin: https://app.example.com")
	for range 2 { // a miss and a hit
		if got := one.get(keyOne).is(http.StatusOK).header.Get("Access-Control-Allow-Origin"); got != "https://app.example.com" {
			t.Errorf("Access-Control-Allow-Origin is %q in an answer", got)
		}
	}
}
