package plaincache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/plaincache"
)

// plainRig is a plain cache in front of an origin, both on sockets of their own.
type plainRig struct {
	t      *testing.T
	plain  *plaincache.Server
	url    string
	client *http.Client

	arrived chan<- struct{} // closed when the origin gets a request, before it waits for mu; nil: not used

	mu     sync.Mutex
	answer string          // the next answer of the origin
	asked  []*http.Request // requests to the origin
	status int             // of the last answer
	body   int             // of the last body that the origin sent: v1, v2, …
}

func newPlainRig(t *testing.T) *plainRig {
	t.Helper()
	g := &plainRig{t: t}
	origin := httptest.NewServer(http.HandlerFunc(g.originate))
	web, err := plaincache.New(plaincache.Options{Bytes: 1 << 20, EntryBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	base, _ := url.Parse(origin.URL)
	transport := &http.Transport{DisableCompression: true}
	if g.plain, err = plaincache.NewServer(plaincache.ServerOptions{Origin: base, Cache: web, Transport: transport}); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(g.plain)
	toFront := &http.Transport{DisableCompression: true}
	g.url = front.URL
	g.client = &http.Client{Transport: toFront, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		toFront.CloseIdleConnections()
		front.Close()
		g.plain.Close()
		transport.CloseIdleConnections()
		origin.Close()
	})
	return g
}

// begin resets the count of bodies, so that the next body is v1.
func (g *plainRig) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.body = 0
}

// originate answers as the test has set it: "404 | Name: value | …". "cut" breaks off
// in the body, "gone" before an answer. In a value, {+60} is the date in 60 seconds.
func (g *plainRig) originate(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if g.arrived != nil {
		close(g.arrived)
		g.arrived = nil
	}
	g.mu.Lock()
	g.asked = append(g.asked, r)
	status, h := http.StatusOK, w.Header()
	h.Set("Content-Type", "text/plain")
	cut := false
	for part := range strings.SplitSeq(g.answer, " | ") {
		name, value, isField := strings.Cut(part, ": ")
		switch number, err := strconv.Atoi(part); {
		case err == nil:
			status = number
		case part == "cut":
			cut = true
		case part == "gone":
			g.mu.Unlock()
			panic(http.ErrAbortHandler)
		case isField:
			h.Add(name, dated(value))
		}
	}
	g.body++
	g.status = status
	body := "v" + strconv.Itoa(g.body) + strings.Repeat(".", 8)
	g.mu.Unlock()
	if cut {
		h.Set("Content-Length", "100")
	}
	w.WriteHeader(status)
	if status != http.StatusNotModified && status != http.StatusNoContent {
		_, _ = io.WriteString(w, body)
	}
	if cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// dated replaces {+60} and similar offsets by the date.
func dated(value string) string {
	before, rest, found := strings.Cut(value, "{")
	if !found {
		return value
	}
	number, after, _ := strings.Cut(rest, "}")
	seconds, _ := strconv.Atoi(number)
	return before + time.Now().Add(time.Duration(seconds)*time.Second).UTC().Format(http.TimeFormat) + after
}

// plainReply is the client's answer, and the requests that the origin received for it.
type plainReply struct {
	status int
	header http.Header
	body   string
	asked  []*http.Request
	origin int // the status with which the origin answered
}

// ask sends a request "GET /path | Name: value | …" and sets the origin's answer to
// answer.
func (g *plainRig) ask(request, answer string) plainReply {
	g.t.Helper()
	parts := strings.Split(request, " | ")
	method, path, _ := strings.Cut(parts[0], " ")
	var content io.Reader
	if method != http.MethodGet && method != http.MethodHead {
		content = strings.NewReader("content")
	}
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, content)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, ": ")
		r.Header.Add(name, dated(value))
	}
	g.mu.Lock()
	g.answer = answer
	before := len(g.asked)
	g.mu.Unlock()
	answered, err := g.client.Do(r)
	if err != nil && strings.HasSuffix(answer, "cut") {
		return plainReply{} // it broke off before its header left the cache
	}
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = answered.Body.Close() }()
	body, _ := io.ReadAll(answered.Body) // some tests cut the body
	g.mu.Lock()
	defer g.mu.Unlock()
	return plainReply{answered.StatusCode, answered.Header, string(body), g.asked[before:], g.status}
}

// told returns the outcome of a reply as one word: hit, fetched (from the origin),
// validated (the origin answered 304), or stale (the origin did not answer usefully).
// The status follows if it is not 200.
func (a plainReply) told() string {
	word := "hit"
	if len(a.asked) > 0 {
		word = "fetched"
		switch {
		case a.origin == http.StatusNotModified:
			word = "validated"
		case strings.HasPrefix(a.header.Get("Cache-Status"), "osgate; hit"):
			word = "stale"
		}
	}
	if a.status != http.StatusOK {
		word += " " + strconv.Itoa(a.status)
	}
	return word
}

func webQuestion(method, host, target string) plaincache.Question {
	return plaincache.Question{Method: method, Host: host, Target: target, Header: http.Header{}}
}
