package proxy

import (
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
)

// TestRetiringGatewayClosesClientConnections checks answers of upstream, of the cache
// and of the gateway itself. Their status stays the same.
func TestRetiringGatewayClosesClientConnections(t *testing.T) {
	g := newRig(t)
	g.get("one", keyPath)
	for name, ask := range map[string]func() (status int, h http.Header){
		"miss":    func() (int, http.Header) { w := g.get("one", keyPath+"2"); return w.Code, w.Header() },
		"hit":     func() (int, http.Header) { w := g.get("one", keyPath); return w.Code, w.Header() },
		"refusal": func() (int, http.Header) { w := g.get("nobody", keyPath); return w.Code, w.Header() },
	} {
		if status, h := ask(); h.Get("Connection") != "" {
			t.Errorf("%s: %d, Connection %q before it retires", name, status, h.Get("Connection"))
		}
	}
	g.Retire()
	for target, want := range map[string]struct {
		token  string
		status int
	}{keyPath + "3": {"one", 200}, keyPath: {"one", 200}, storePath: {"nobody", 401}} {
		if w := g.get(want.token, target); w.Code != want.status || w.Header().Get("Connection") != "close" {
			t.Errorf("%s: %d, Connection %q, want %d and close", target, w.Code, w.Header().Get("Connection"), want.status)
		}
	}
}

// TestCallToAnUnreachableControlPlaneIsIdentityUnavailable checks that a call that is passed on to
// an unreachable control plane gets the same answer as a request that needs the control
// plane.
func TestCallToAnUnreachableControlPlaneIsIdentityUnavailable(t *testing.T) {
	for name, failure := range map[string]error{
		"unreachable": &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "late": os.ErrDeadlineExceeded,
	} {
		g := newRig(t)
		g.upstream = func(*http.Request) (*http.Response, error) { return nil, failure }
		r := request(t, "POST "+mintPath, "", "{}")
		r.Host = "gateway"
		w := g.do(r)
		if w.Code != http.StatusServiceUnavailable || codeOf(t, w) != "identity-unavailable" || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s, Retry-After %q", name, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
	}
}
