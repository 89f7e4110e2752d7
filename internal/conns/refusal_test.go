package conns

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// refusing answers each refusal with its status and reason in a body, and stores it.
type refusing struct {
	mu   sync.Mutex
	seen []Refusal
}

func (r *refusing) answer(f Refusal) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, f)
	body := fmt.Sprintf("%d %q", f.Status, f.Reason)
	return fmt.Appendf(nil, "HTTP/1.1 %d Ours\r\nX-Ours: yes\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", f.Status, len(body), body)
}

// unreadable are the requests that net/http answers without a handler.
var unreadable = map[string]struct{ request, want string }{
	"no HTTP":             {"hello\r\n\r\n", `400 ""`},
	"no host":             {"GET / HTTP/1.1\r\n\r\n", `400 "missing required Host header"`},
	"two hosts":           {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", `400 ""`},
	"a malformed name":    {"GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", `400 "invalid header name"`},
	"two lengths":         {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", `400 ""`},
	"a coding":            {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", `501 ""`},
	"a version":           {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", `505 "unsupported protocol version"`},
	"a large header":      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", http.DefaultMaxHeaderBytes+8<<10) + "\r\n\r\n", `431 ""`},
	"another expectation": {"PUT / HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 2\r\n\r\nab", `417 ""`},
}

// TestListenerAnswersRequestsThatNetHTTPRefuses, on a new connection and behind a request
// that was served, over HTTP and HTTPS, and the connection ends.
func TestListenerAnswersRequestsThatNetHTTPRefuses(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		r := &refusing{}
		o := Options{Limit: 100, Refuse: r.answer}
		if secure {
			o.TLS = certified(t)
		}
		s := serve(t, o, hello)
		for name, tt := range unreadable {
			for _, before := range []string{"", get} {
				t.Run(fmt.Sprintf("%s, TLS %t, %d before", name, secure, len(before)), func(t *testing.T) {
					c := s.dial(t)
					if secure {
						c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
					}
					_, _ = io.WriteString(c, before+tt.request) // may be refused before its end
					from := bufio.NewReader(c)
					if before != "" {
						answer(t, from)
					}
					a, err := http.ReadResponse(from, nil)
					if err != nil {
						t.Fatal(err)
					}
					body, _ := io.ReadAll(a.Body)
					_ = a.Body.Close()
					if string(body) != tt.want || a.Header.Get("X-Ours") != "yes" {
						t.Errorf("%d %v %s, want %s of ours", a.StatusCode, a.Header, body, tt.want)
					}
					if _, err := from.ReadByte(); err == nil {
						t.Error("more comes behind it")
					}
				})
			}
		}
		for _, f := range r.seen {
			if !strings.HasPrefix(f.Remote.String(), "127.0.0.1:") {
				t.Errorf("refused %+v, want the client's address", f)
			}
		}
	}
}

// TestPlainHTTPToHTTPSIsAnsweredByTheListener in plain HTTP.
func TestPlainHTTPToHTTPSIsAnsweredByTheListener(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Limit: 100, Refuse: (&refusing{}).answer, TLS: certified(t)}, hello)
	if got, want := ask(t, s.dial(t), get), `400 "Client sent an HTTP request to an HTTPS server."`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestNoAnswerOfAHandlerIsReplaced, also if its header or one packet of its body has the
// bytes of an answer of net/http.
func TestNoAnswerOfAHandlerIsReplaced(t *testing.T) {
	t.Parallel()
	const own = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
	r := &refusing{}
	s := serve(t, Options{Limit: 100, Refuse: r.answer}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(2*len(own)))
		w.WriteHeader(http.StatusBadRequest)
		for range 2 { // the second one after the header was sent
			_, _ = io.WriteString(w, own)
			_ = http.NewResponseController(w).Flush()
		}
	})
	c := s.dial(t)
	for range 2 {
		if got := ask(t, c, get); got != own+own {
			t.Errorf("%q, want it as it was written", got)
		}
	}
	if len(r.seen) > 0 {
		t.Errorf("refused %+v", r.seen)
	}
}

// TestWithoutAnAnswerOfItsOwnNetHTTPsStays: a listener without Refuse sends net/http's answer.
func TestWithoutAnAnswerOfItsOwnNetHTTPsStays(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"no function": {Limit: 9}, "no answer": {Limit: 9, Refuse: func(Refusal) []byte { return nil }}} {
		s := serve(t, o, hello)
		if got := ask(t, s.dial(t), "GET / HTTP/1.1\r\n\r\n"); got != "400 Bad Request: missing required Host header" {
			t.Errorf("%s: %q", name, got)
		}
		o.TLS = certified(t)
		s = serve(t, o, hello)
		if got := ask(t, s.dial(t), get); got != "Client sent an HTTP request to an HTTPS server.\n" {
			t.Errorf("%s, TLS: %q", name, got)
		}
	}
}

// halved records that its sending half was closed.
type halved struct {
	net.Conn
	closed bool
}

func (c *halved) CloseWrite() error { c.closed = true; return nil }

// TestARefusedConnectionEndsThoughItsClientStays: after half a second, or after the bytes
// that were sent after the request.
func TestARefusedConnectionEndsThoughItsClientStays(t *testing.T) {
	for name, tt := range map[string]struct {
		sends int
		want  time.Duration
	}{
		"it sends nothing":  {0, 500 * time.Millisecond},
		"it sends little":   {1<<20 - 1, 500 * time.Millisecond},
		"it sends too much": {1 << 20, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := net.Pipe()
				go func() {
					_, _ = io.ReadFull(client, make([]byte, 6))
					_, _ = client.Write(make([]byte, tt.sends))
				}()
				began, half := time.Now(), &halved{Conn: server}
				if err := refuse(half, []byte("answer")); err != nil || time.Since(began) != tt.want || !half.closed {
					t.Errorf("error %v after %v, sending half closed %t; want %v", err, time.Since(began), half.closed, tt.want)
				}
				_, _ = server.Close(), client.Close()
			})
		})
	}
	server, client := net.Pipe()
	_ = client.Close()
	if refuse(server, []byte("answer")) == nil {
		t.Error("an answer that cannot be written is no error")
	}
}
