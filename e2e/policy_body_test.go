package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// ceiling is the largest size of a value in bytes here.
const (
	valueLimit       = 100_000
	valueLimitReason = "at most 100,000 bytes"
	valueLimitRule   = "@id(\"small\")\n@reason(\"" + valueLimitReason + "\")\nforbid (principal, action == Action::\"putKey\", resource)\nwhen { context.valueBytes > 100000 };\n"
)

// bodySink is an upstream that counts the bytes that it receives of each body.
type bodySink struct {
	*upstream
	began chan struct{} // receives a value when the first byte of a body has arrived

	mu     sync.Mutex
	bodies []receivedBody // guarded by mu
}

// receivedBody is the received part of a body.
type receivedBody struct {
	bytes int64
	whole bool
}

func newBodySink(t *testing.T) *bodySink {
	t.Helper()
	s := &bodySink{began: make(chan struct{}, 64)}
	s.upstream = newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 1)
		n, err := r.Body.Read(first)
		if n > 0 {
			s.began <- struct{}{}
		}
		rest := int64(0)
		if err == nil {
			rest, err = io.Copy(io.Discard, r.Body)
		}
		s.mu.Lock()
		s.bodies = append(s.bodies, receivedBody{int64(n) + rest, err == nil || errors.Is(err, io.EOF)})
		s.mu.Unlock()
		_, _ = fmt.Fprint(w, `{}`)
	})
	return s
}

// awaitBodies waits until n bodies have ended, and returns them.
func (s *bodySink) awaitBodies(t *testing.T, n int) []receivedBody {
	t.Helper()
	eventually(t, "the bodies at upstream", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.bodies) >= n
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]receivedBody(nil), s.bodies...)
}

// upload is a PUT of keyOne, written byte by byte, on a connection of its own.
type upload struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func (g *gateway) upload(t *testing.T, token string, headers ...string) *upload {
	t.Helper()
	c, err := net.Dial("tcp", g.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	u := &upload{c, t, bufio.NewReader(c)}
	headers = append(headers, "Authorization: Bearer "+token, "Content-Type: application/json")
	u.write("PUT " + keyOne + " HTTP/1.1\r\nHost: gateway\r\n" + headerLines(headers) + "\r\n")
	return u
}

// write sends text. If the gateway has stopped reading, its answer shows it.
func (u *upload) write(text string) { _, _ = io.WriteString(u, text) }

// chunk sends n bytes as a chunk.
func (u *upload) chunk(n int) { u.write(fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("x", n))) }

// answer reads the next answer, or an informational answer.
func (u *upload) answer() *answer {
	u.t.Helper()
	response, err := http.ReadResponse(u.in, &http.Request{Method: http.MethodPut})
	if err != nil {
		u.t.Fatalf("reading the answer: %v", err)
	}
	a, err := readAnswer(u.t, "PUT "+keyOne, response, time.Now())
	if err != nil {
		u.t.Fatalf("reading the answer: %v", err)
	}
	return a
}

// checkClosed checks that the gateway closed the connection without an error.
func (u *upload) checkClosed() {
	u.t.Helper()
	if n, err := u.in.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		u.t.Errorf("after the refusal: %d bytes, %v; want the connection's end", n, err)
	}
}

// TestValueOverTheLimitIsNotForwarded: it is refused because of its declared length, or
// cut where it exceeds the ceiling.
func TestValueOverTheLimitIsNotForwarded(t *testing.T) {
	t.Parallel()
	sink := newBodySink(t)
	// Another rule needs the content of values. A value that is too large is not
	// requested for it.
	f := newRules(t, forbidRule("typed", `principal, action == Action::"putKey", resource`, `context.valueType == "BINARY"`)+valueLimitRule)
	g := newStack(t, false).gateway(f.setting(), "UPSTREAM_OVERRIDE="+sink.URL, "RATE=0")
	token := g.mint("app-one", "")

	told := g.upload(t, token, fmt.Sprintf("Content-Length: %d", valueLimit+1))
	told.write(strings.Repeat("x", valueLimit+1))
	told.answer().checkDenial("small", valueLimitReason)

	expecting := g.upload(t, token, fmt.Sprintf("Content-Length: %d", valueLimit+1), "Expect: 100-continue")
	expecting.answer().checkDenial("small", valueLimitReason) // and no 100 before it
	if n := len(sink.requests()); n != 0 {
		t.Errorf("upstream received %d requests, want none", n)
	}

	short := g.upload(t, token, "Transfer-Encoding: chunked", "Expect: 100-continue")
	if a := short.answer(); a.status != http.StatusContinue {
		t.Errorf("the answer to a body of unknown length is %d, want 100", a.status)
	}
	short.chunk(valueLimit)
	short.write("0\r\n\r\n")
	short.answer().is(http.StatusOK)
	if bodies := sink.awaitBodies(t, 1); bodies[0] != (receivedBody{valueLimit, true}) {
		t.Errorf("upstream received %+v, want all of a value of %d bytes", bodies, valueLimit)
	}

	long := g.upload(t, token, "Transfer-Encoding: chunked")
	for range 40 {
		long.chunk(10_000)
	}
	long.write("0\r\n\r\n")
	a := long.answer()
	a.checkRefusal(http.StatusRequestEntityTooLarge, "too-large")
	a.checkRule("small", valueLimitReason)
	long.checkClosed()
	g.checkAccessLog(a, map[string]any{"rule": "small", "code": "too-large"})
	eventually(t, "the denials to be counted", func() bool { return g.hasMetricLine(decisionsMetric("small", "deny", 3)) })
	if cut := sink.awaitBodies(t, 2)[1]; cut.whole || cut.bytes > valueLimit {
		t.Errorf("upstream received %+v, want a body that is cut and has at most %d bytes", cut, valueLimit)
	}

	small := g.upload(t, token, "Content-Length: 2")
	small.write("{}")
	small.answer().is(http.StatusOK)
}

// TestLargeValuesAreStreamedUnderRulesOnValues sends four values of 10 MB. Their first
// bytes reach upstream before the last are sent, and no value is held in memory.
func TestLargeValuesAreStreamedUnderRulesOnValues(t *testing.T) {
	t.Parallel()
	sink := newBodySink(t)
	f := newRules(t, `@id("large") forbid (principal, action == Action::"putKey", resource) when { context.valueBytes > 10500000 || context.valueType == "NUMBER" };`)
	g := newStack(t, false).gateway(f.setting(), "UPSTREAM_OVERRIDE="+sink.URL, "RATE=0")
	token := g.mint("app-one", "")
	const large, part, uploads = 10_000_000, 1_000_000, 4
	warm := g.upload(t, token, "Content-Length: 2")
	warm.write("{}")
	warm.answer().is(http.StatusOK)
	<-sink.began
	before := g.residentBytes(t)
	all := make([]*upload, uploads)
	for i := range all {
		length := []string{fmt.Sprintf("Content-Length: %d", large), "Transfer-Encoding: chunked"}[i%2]
		all[i] = g.upload(t, token, length)
		all[i].sendPart(i, part)
	}
	for range all {
		select {
		case <-sink.began:
		case <-time.After(testTimeout):
			t.Fatal("upstream receives no byte of a value before all of it is sent")
		}
	}
	most := 0
	for sent := part; sent < large; sent += part {
		for i, u := range all {
			u.sendPart(i, part)
		}
		most = max(most, g.residentBytes(t)-before)
	}
	for i, u := range all {
		if i%2 == 1 {
			u.write("0\r\n\r\n")
		}
		u.answer().is(http.StatusOK)
	}
	for _, body := range sink.awaitBodies(t, 1+uploads)[1:] {
		if body != (receivedBody{large, true}) {
			t.Errorf("upstream received %+v, want all of a value of %d bytes", body, large)
		}
	}
	t.Logf("%d KiB more were resident during 4 values of 10 MB", most>>10)
	if most > large {
		t.Errorf("%d bytes more were resident during 4 values of %d: they are not streamed", most, large)
	}
}

// residentBytes returns the resident memory of the process in bytes (proc(5)).
func (p *process) residentBytes(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	var all, resident int
	if err == nil {
		_, err = fmt.Sscan(string(text), &all, &resident)
	}
	if err != nil {
		t.Skipf("this system does not report resident memory: %v", err)
	}
	return resident * os.Getpagesize()
}

// sendPart sends n bytes, as a chunk in uploads of odd number.
func (u *upload) sendPart(i, n int) {
	if i%2 == 1 {
		u.chunk(n)
		return
	}
	u.write(strings.Repeat("x", n))
}
