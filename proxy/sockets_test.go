package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"osgate/record"
)

// socketRig returns a rig between real sockets.
func socketRig(t *testing.T, upstream http.HandlerFunc, change ...func(*Options)) (*rig, *httptest.Server) {
	t.Helper()
	up := httptest.NewServer(upstream)
	t.Cleanup(up.Close)
	base, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := NewTransport(TransportOptions{})
	t.Cleanup(func() { closeIdle(transport) })
	g := newRig(t, append([]func(*Options){func(o *Options) { o.Override, o.Transport = base, transport }}, change...)...)
	front := httptest.NewServer(g)
	t.Cleanup(front.Close)
	return g, front
}

// raw writes text to the server and returns the status code of its answer. It closes
// the sending half of the connection first if the test requires it.
func raw(t *testing.T, server *httptest.Server, text string, half bool) string {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if half {
		_ = c.(*net.TCPConn).CloseWrite() //nolint:errcheck // it was dialed so
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.Fields(line)[1]
}

// records waits until g has n records, because they are made after the client has its
// answer.
func records(t *testing.T, g *rig, n int) []record.Exchange {
	t.Helper()
	for {
		g.mu.Lock()
		all := g.exchanges
		g.mu.Unlock()
		if len(all) >= n {
			return all
		}
		select {
		case <-t.Context().Done():
			t.Fatal("nothing was recorded")
		default:
		}
	}
}

func TestTheClientsBodyIsTheClientsFault(t *testing.T) {
	reads := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.WriteHeader(http.StatusCreated)
		}
	}
	const head = "PUT " + keyPath + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer one\r\n"
	for _, tt := range []struct {
		name, body string
		half       bool
		status     string
		recorded   int
		code       string
	}{
		{name: "whole", body: "Content-Length: 2\r\n\r\n{}", status: "201", recorded: 201},
		{name: "chunked", body: "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", status: "201", recorded: 201},
		{name: "garbled chunk", body: "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", status: "400", recorded: 400, code: "bad-request"},
		{name: "garbled after a good one", body: "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nxx\r\n", status: "400", recorded: 400, code: "bad-request"},
		{name: "ends early", body: "Content-Length: 100000\r\n\r\n{", half: true, status: "400", recorded: 499, code: "bad-request"},
		{name: "declared too large", body: "Content-Length: 3000\r\n\r\n" + strings.Repeat("x", 3000), status: "413", recorded: 413, code: "too-large"},
		{name: "too large", body: "Transfer-Encoding: chunked\r\n\r\nbb8\r\n" + strings.Repeat("x", 3000) + "\r\n0\r\n\r\n", status: "413", recorded: 413, code: "too-large"},
		{name: "refused though large", body: "X-Osgate-Region: nowhere\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000), status: "400", recorded: 400, code: "region-unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limit := int64(2048)
			if tt.name == "ends early" {
				limit = 1 << 20
			}
			g, front := socketRig(t, reads, func(o *Options) { o.MaxBody = limit })
			if got := raw(t, front, head+tt.body, tt.half); got != tt.status {
				t.Errorf("status %s, want %s", got, tt.status)
			}
			x := records(t, g, 1)[0]
			if x.Status != tt.recorded || x.Code != record.Code(tt.code) || strings.HasPrefix(string(x.Code), "upstream") {
				t.Errorf("record: %d %s (%s), want %d %s", x.Status, x.Code, x.Cause, tt.recorded, tt.code)
			}
		})
	}
}

func TestAClientMayReadWhyItsLargeBodyIsRefused(t *testing.T) {
	_, front := socketRig(t, func(http.ResponseWriter, *http.Request) {}, func(o *Options) { o.MaxBody = 1 << 10 })
	for range 20 {
		answer, err := front.Client().Post(front.URL+keyPath, "application/json", strings.NewReader(strings.Repeat("x", 4<<20)))
		if err != nil {
			t.Fatalf("the client could not read its answer: %v", err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%d", answer.StatusCode)
		}
	}
}

// TestALongAnswerThatIsCutIsCutAndRecordedOnce checks an answer whose beginning the
// client already has.
func TestALongAnswerThatIsCutIsCutAndRecordedOnce(t *testing.T) {
	half := strings.Repeat("x", 1<<18) // more than the cache keeps
	g, front := socketRig(t, cutsAfter(half, -1))
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+keyPath, nil)
	r.Header.Set("Authorization", "Bearer one")
	if answer, err := front.Client().Do(r); err == nil { // it may be cut before or after its header
		if text, err := io.ReadAll(answer.Body); err == nil {
			t.Errorf("the client took %d bytes for the whole", len(text))
		}
		_ = answer.Body.Close()
	}
	x := records(t, g, 1)[0]
	if !x.Aborted || x.Status != 200 || !strings.HasPrefix(x.Cause, "reading upstream's answer") || x.Cache.Stored || x.UpstreamError == "" {
		t.Errorf("record %+v", x)
	}
	if s := status(g, "one", keyPath); strings.Contains(s, "hit") {
		t.Errorf("a cut answer was cached: %s", s)
	}
}

// cutsAfter returns an upstream that announces that many bytes, sends text and breaks
// off.
func cutsAfter(text string, length int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if length >= 0 {
			w.Header().Set("Content-Length", strconv.Itoa(length))
		}
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// TestBrokenResponseBeforeTheFirstByteIsA502 checks that the client gets a 502 if
// upstream breaks off its answer before the client has any of it: for each operation,
// and whether or not the answer may be stored.
func TestBrokenResponseBeforeTheFirstByteIsA502(t *testing.T) {
	for name, tt := range map[string]struct {
		head   string
		text   string
		length int
	}{
		"a short read":              {"GET " + keyPath, "half", 8},
		"a read without a byte":     {"GET " + keyPath, "", 8},
		"a long read without one":   {"GET " + keyPath, "", 1 << 20},
		"a read of unknown length":  {"GET " + keyPath, "", -1},
		"a read past the cache":     {"GET " + keyPath + "?confirmable=true", "half", 8},
		"a list":                    {"GET " + storePath, "[", 100},
		"a write":                   {"PUT " + keyPath, "half", 8},
		"a delete":                  {"DELETE " + keyPath, "half", 8},
		"a write of unknown length": {"POST " + keyPath, "", -1},
	} {
		t.Run(name, func(t *testing.T) {
			g, front := socketRig(t, cutsAfter(tt.text, tt.length))
			method, path, _ := strings.Cut(tt.head, " ")
			r, _ := http.NewRequestWithContext(t.Context(), method, front.URL+path, nil)
			r.Header.Set("Authorization", "Bearer one")
			answer, err := front.Client().Do(r)
			if err != nil {
				t.Fatalf("the client got no answer: %v", err)
			}
			text, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != http.StatusBadGateway || !strings.Contains(string(text), "urn:osgate:upstream-unreachable") {
				t.Errorf("%d %s, %v", answer.StatusCode, text, err)
			}
			x := records(t, g, 1)[0]
			if x.Status != 502 || x.Aborted || x.Code != "upstream-unreachable" || x.Cache.Stored || x.UpstreamError != "_OTHER" {
				t.Errorf("record %+v", x)
			}
		})
	}
}

func TestInformationalAnswersStayHere(t *testing.T) {
	_, front := socketRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	})
	informed := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { informed++; return nil }})
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, front.URL+keyPath, nil)
	r.Header.Set("Authorization", "Bearer one")
	answer, err := front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if informed != 0 || len(answer.Header.Values("X-Request-Id")) != 1 || len(answer.Header.Values("Link")) != 1 || answer.Header.Get("RateLimit") == "" {
		t.Errorf("%d informational answers, header %v", informed, answer.Header)
	}
}

func TestABodyStreams(t *testing.T) {
	const size = 10 << 20
	_, front := socketRig(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if n != size || err != nil {
			t.Errorf("upstream got %d bytes, %v", n, err)
		}
		_, _ = io.CopyN(w, zeros{}, size)
	})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, front.URL+keyPath, io.LimitReader(zeros{}, size))
	r.Header.Set("Authorization", "Bearer one")
	answer, err := front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if n != size || err != nil {
		t.Errorf("the client got %d bytes, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestADeadConnectionReplaysNoConfirmableRead(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	_, front := socketRig(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.URL.RawQuery)
		if len(seen) > 1 { // the connection dies with the request in it
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.Close()
			}
		}
	})
	get := func(target string) int {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+target, nil)
		r.Header.Set("Authorization", "Bearer one")
		answer, err := front.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	if got := get(storePath); got != 200 { // leaves a kept-alive connection
		t.Fatal(got)
	}
	if got := get(keyPath + "?confirmable=true"); got != http.StatusBadGateway {
		t.Errorf("status %d", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 {
		t.Errorf("upstream saw %q: a read with side effects was sent again", seen)
	}
}

func TestAnOwnAbsoluteFormIsServed(t *testing.T) {
	g, front := socketRig(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	own := front.Listener.Addr().String()
	for target, want := range map[string]string{
		"http://" + own + keyPath: "200", "http://" + host + keyPath: "200", "http://other.example" + keyPath: "400", "ftp://" + own + keyPath: "404",
		"http://" + own + ":1" + keyPath: "400", "http://" + own + "?x": "404",
	} {
		if got := raw(t, front, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer one\r\n\r\n", target, own), false); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	if got := raw(t, front, "CONNECT "+host+":443 HTTP/1.1\r\nHost: "+host+"\r\n\r\n", false); got != "400" {
		t.Errorf("CONNECT: %s", got)
	}
	_ = g
}

func TestWriterKeepsTheFirstErrorForTheRecord(t *testing.T) {
	w := newResponseWriter(deaf{httptest.NewRecorder()})
	if _, err := w.Write([]byte("x")); err == nil || w.err == nil || w.status != 200 {
		t.Errorf("%v %v %d", err, w.err, w.status)
	}
}

// deaf is a client to which no byte can be written.
type deaf struct{ http.ResponseWriter }

func (deaf) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
