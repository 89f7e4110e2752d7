package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// refusedExpectRequest is a request that is refused, and whose body waits for "100
// Continue".
const refusedExpectRequest = "PUT /nowhere HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"

// metric returns the value of a metric without labels.
func (g *gateway) metric(name string) int {
	g.t.Helper()
	page := client{t: g.t, base: g.admin}.get("/metrics").is(http.StatusOK).body
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				g.t.Fatalf("%s is %q", name, text)
			}
			return int(value)
		}
	}
	g.t.Fatalf("there is no metric %s", name)
	return 0
}

// sendRefusedExpect sends refusedExpectRequest, reads the refusal, and leaves the
// connection open.
func (g *gateway) sendRefusedExpect() net.Conn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, refusedExpectRequest); err != nil {
		g.t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound || !answer.Close {
		g.t.Errorf("the status is %d, the end of the connection is %t; want 404, true", answer.StatusCode, answer.Close)
	}
	return c
}

// TestRefusedExpectLeavesNoGoroutineAndNoDescriptor in the gateway, although its client
// neither sends the body nor closes the connection.
func TestRefusedExpectLeavesNoGoroutineAndNoDescriptor(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gateway()
	goroutines, descriptors := g.metric("go_goroutines"), g.metric("process_open_fds")
	for range 200 {
		g.sendRefusedExpect()
	}
	const others = 20 // connections and goroutines of the admin listener and the emulator
	eventually(t, "goroutines and descriptors to be released", func() bool {
		return g.metric("go_goroutines") < goroutines+others && g.metric("process_open_fds") < descriptors+others
	})
}

func TestARefusedExpectDoesNotDelayTheEndOfTheProcess(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gateway("DRAIN_TIMEOUT=1h")
	g.sendRefusedExpect()
	if code := g.stop(syscall.SIGTERM); code != 0 { // before the tests lose patience
		t.Errorf("the exit code is %d, want 0", code)
	}
}
