package e2e

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAnswersHaveTheHeadersOfUpstreamOnly: an answer without Content-Type stays without
// one. Upstream's Cache-Status stands before the gateway's. A Set-Cookie trailer is
// dropped. The log has upstream's X-Request-Id.
func TestAnswersHaveTheHeadersOfUpstreamOnly(t *testing.T) {
	t.Parallel()
	const body = "<html>a value</html>"
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"] = nil
		h.Set("Cache-Status", "edge; fwd=miss")
		h.Set("X-Request-Id", "of-upstream-1")
		h.Set("Trailer", "X-Checksum, Set-Cookie")
		_, _ = io.WriteString(w, body)
		h.Set("X-Checksum", "abc")
		h.Set("Set-Cookie", "s=1")
	})
	s := newStack(t, false)
	g := s.gateway("UPSTREAM_OVERRIDE=" + u.URL)
	a := sendRaw(t, g.addr(), rawGET("gateway", keyOne, "Authorization: Bearer "+g.mint("app-one", ""))).is(http.StatusOK)
	if _, typed := a.header["Content-Type"]; typed || a.body != body {
		t.Errorf("Content-Type %q, body %q; want none and the value", a.header["Content-Type"], a.body)
	}
	if got := strings.Join(a.header["Cache-Status"], ", "); !strings.HasPrefix(got, "edge; fwd=miss, osgate; fwd=miss") {
		t.Errorf("Cache-Status is %q, want upstream's before the gateway's", got)
	}
	eventually(t, "the access log to have upstream's request id", func() bool {
		return strings.Contains(g.stderr.String(), `"upstream_request_id":"of-upstream-1"`)
	})
	if text := halfClosed(t, g.addr(), rawGET("gateway", keyOne+"-other", "Authorization: Bearer "+g.mint("app-one", ""))); strings.Contains(text, "s=1") {
		t.Errorf("the trailer has a cookie: %q", text)
	}
}

// TestNoStatus499IsOnTheWire: a client that closes the sending half of its connection
// receives the answer or no byte.
func TestNoStatus499IsOnTheWire(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "CACHE_KEY_TTL=0")
	token := "Authorization: Bearer " + g.mint("app-one", "")
	s.emulator.setFault("300ms", "")
	for _, target := range []string{keyOne, "/accounts/api/me", "/nowhere"} {
		text := halfClosed(t, g.addr(), rawGET("gateway", target, token))
		if text != "" && !strings.HasPrefix(text, "HTTP/1.1 200 ") && !strings.HasPrefix(text, "HTTP/1.1 404 ") {
			t.Errorf("%s: %q, want the answer or no byte", target, text)
		}
	}
	eventually(t, "a client to be recorded as having left", func() bool { return len(g.accessLines(499)) > 0 })
}

// halfClosed sends a request, closes the connection's sending half, and returns all
// received bytes.
func halfClosed(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, testTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite() //nolint:errcheck // it was dialed so
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
