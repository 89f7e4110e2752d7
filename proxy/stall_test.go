package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// silentUpstream handles each connection with serve. Its second argument reads from the
// connection.
func silentUpstream(t *testing.T, l net.Listener, serve func(c net.Conn, in *bufio.Reader)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer func() { _ = c.Close() }()
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

// TestAnUpstreamThatStopsReadingIsGivenUp checks that this happens within the time that
// upstream has for its next step.
func TestAnUpstreamThatStopsReadingIsGivenUp(t *testing.T) {
	for name, upstream := range map[string]http.HandlerFunc{
		"from the start": func(http.ResponseWriter, *http.Request) { <-time.After(2 * testTimeout) },
		"in the middle": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, keptBody)
			<-time.After(2 * testTimeout)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := new(watched)
			bubble(t, upstream, func(t *testing.T, g *rig) {
				start := time.Now()
				w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", strings.Repeat("x", longBody)))
				if took := time.Since(start); w.Code != http.StatusGatewayTimeout || codeOf(t, w) != "upstream-timeout" || took != testTimeout {
					t.Errorf("%d %s after %v", w.Code, w.Body, took)
				}
				if _, releases := c.counts(); releases != 0 {
					t.Error("the lease of a write that may land was given back")
				}
				<-time.After(2 * testTimeout) // upstream ends
			}, coherent(t, c))
		})
	}
}

// TestAStalledTLSUpstreamIsGivenUp checks an upstream that stalls in its handshake, and
// one that does not read the body.
func TestAStalledTLSUpstreamIsGivenUp(t *testing.T) {
	lender := httptest.NewUnstartedServer(nil) // lends its certificate
	lender.StartTLS()
	defer lender.Close()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	handshake, body := listen(), listen()
	stop := make(chan struct{})
	defer close(stop)
	silentUpstream(t, handshake, func(net.Conn, *bufio.Reader) { <-stop })
	silentUpstream(t, tls.NewListener(body, lender.TLS), func(_ net.Conn, in *bufio.Reader) {
		_, _ = in.Peek(1)
		<-stop
	})
	for name, l := range map[string]net.Listener{"in the handshake": handshake, "in the body": body} {
		t.Run(name, func(t *testing.T) {
			const timeout = 300 * time.Millisecond
			roots := lender.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:errcheck // it is one
			transport := NewTransport(TransportOptions{Timeout: timeout, Roots: roots})
			base := &url.URL{Scheme: "https", Host: l.Addr().String()}
			g := newRig(t, func(o *Options) { o.Override, o.Transport, o.Timeout, o.MaxBody = base, transport, timeout, 64<<20 })
			r := request(t, "PUT "+keyPath, "Authorization: Bearer one")
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 32<<20)), 32<<20
			if w := g.do(r); w.Code != http.StatusGatewayTimeout {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

// TestAnAnswerThatStandsStillIsGivenUp checks an answer that stalls in its body, in its
// trailers, and in a refusal that the gateway itself reads. An answer that has begun is
// cut; otherwise the client gets a 504.
func TestAnAnswerThatStandsStillIsGivenUp(t *testing.T) {
	for name, answer := range map[string]string{
		"in its body":     "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
		"between chunks":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
		"in its trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: x",
		"in a refusal":    "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 10\r\n\r\n12345",
	} {
		t.Run(name, func(t *testing.T) {
			upstream := func(w http.ResponseWriter, _ *http.Request) {
				c, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(c, answer)
				_, _ = io.Copy(io.Discard, c) // until the gateway closes it
				_ = c.Close()
			}
			bubble(t, upstream, func(t *testing.T, g *rig) {
				start := time.Now()
				func() {
					defer func() { _ = recover() }() // ReverseProxy cuts an answer that has begun by a panic
					g.do(request(t, "DELETE "+keyPath, "Authorization: Bearer one"))
				}()
				if took := time.Since(start); took != idleTimeout || !g.last().Aborted && g.last().Status != http.StatusGatewayTimeout {
					t.Errorf("after %v: %+v", took, g.last())
				}
			})
		})
	}
}

func TestTimeThatTheClientTakesIsNotUpstreams(t *testing.T) {
	upstream := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", keptBody)) }
	bubble(t, upstream, func(t *testing.T, g *rig) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://upstream", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := g.Transport.Shared.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range 4 {
			<-time.After(2 * idleTimeout)
			read, err := io.CopyN(io.Discard, answer.Body, keptBody/4)
			if err != nil {
				t.Error(err)
			}
			n += int(read)
		}
		if _, err := answer.Body.Read(make([]byte, 1)); n != keptBody || !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes, then %v", n, err)
		}
		_ = answer.Body.Close()
	})
}

// TestAWriteThatIsGivenUpLeavesNothingToDeliver checks a write that is completely in
// the kernel's buffers when upstream's time has passed. Upstream reads only after that.
func TestAWriteThatIsGivenUpLeavesNothingToDeliver(t *testing.T) {
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		})
		return errors.Join(err, failed)
	}}
	l, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const size = 48 << 10
	givenUp, got := make(chan struct{}), make(chan int64, 1)
	silentUpstream(t, l, func(_ net.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Error(err)
			return
		}
		<-givenUp
		n, _ := io.Copy(io.Discard, r.Body)
		got <- n
	})
	base := &url.URL{Scheme: "http", Host: l.Addr().String()}
	const timeout = 300 * time.Millisecond
	transport := NewTransport(TransportOptions{Timeout: timeout})
	g := newRig(t, func(o *Options) { o.Override, o.Transport, o.Timeout = base, transport, timeout })
	if w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", strings.Repeat("x", size))); w.Code != http.StatusGatewayTimeout {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	close(givenUp)
	if n := <-got; n >= size {
		t.Errorf("upstream got all %d bytes after the write was given up", n)
	}
}

// TestUpstreamsTimeIsOverAllSendingsOfARequest checks one time limit for all sendings;
// the client's pauses between them do not count.
func TestUpstreamsTimeIsOverAllSendingsOfARequest(t *testing.T) {
	var asked atomic.Int32
	upstream := func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			<-r.Context().Done()
			return
		}
		<-time.After(testTimeout / 2)
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	bubble(t, upstream, func(t *testing.T, g *rig) {
		start := time.Now()
		w := g.get("one", keyPath)
		if took := time.Since(start); w.Code != http.StatusGatewayTimeout || asked.Load() != 2 || took != testTimeout+3*time.Second {
			t.Errorf("%d after %v and %d requests", w.Code, took, asked.Load())
		}
	}, func(o *Options) { o.MaxWait = 5 * time.Second })
}
