package conns

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// rests returns how many connections rest.
func (s *testServer) rests() (n int) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	for c := s.table.kinds[0][0].first; c != nil; c = c.links[laneAll].after {
		if c.resting {
			n++
		}
	}
	return n
}

// restful serves with HTTP and with HTTPS, and lets connections rest at once. It calls
// test with a client's connection.
func restful(t *testing.T, change func(*http.Server), test func(t *testing.T, s *testServer, c net.Conn)) {
	t.Helper()
	for scheme, o := range map[string]Options{"HTTP": {Limit: 2}, "HTTPS": {Limit: 2, TLS: certified(t)}} {
		t.Run(scheme, func(t *testing.T) {
			o.Rest = time.Millisecond
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &testServer{Listener: New(inner, o), address: inner.Addr().String()}
			s.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if Ambiguous(r) {
					w.Header().Set("Connection", "close")
					w.WriteHeader(http.StatusBadRequest)
				}
				_, _ = io.Copy(w, r.Body)
			})}
			change(s.server)
			s.Attach(s.server)
			go func() { _ = s.server.Serve(s.Listener) }() // ends with Close
			t.Cleanup(func() { _ = s.server.Close() })
			c := s.dial(t)
			if o.TLS != nil {
				secured := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
				if err := secured.Handshake(); err != nil {
					t.Fatal(err)
				}
				c = secured
			}
			test(t, s, c)
		})
	}
}

func unchanged(*http.Server) {}

const hi = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"

// TestARestingConnectionIsServedAgain before its first request and between two, and its
// requests are followed as before.
func TestARestingConnectionIsServedAgain(t *testing.T) {
	t.Parallel()
	restful(t, unchanged, func(t *testing.T, s *testServer, c net.Conn) {
		for range 3 {
			eventually(t, "the connection to rest", func() bool { return s.rests() == 1 })
			for _, part := range []string{hi[:9], hi[9:30], hi[30:]} {
				if _, err := io.WriteString(c, part); err != nil {
					t.Fatal(err)
				}
			}
			if got := answer(t, bufio.NewReader(c)); got != "hi" {
				t.Fatalf("answer %q, want hi", got)
			}
		}
		eventually(t, "the connection to rest", func() bool { return s.rests() == 1 })
		if n := s.Counts(); n.Idle != 1 || n.Busy != 0 {
			t.Errorf("counts %+v, want one idle connection", n)
		}
		_, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+hi)
		from := bufio.NewReader(c)
		if a, err := http.ReadResponse(from, nil); err != nil || a.StatusCode != http.StatusBadRequest {
			t.Errorf("the ambiguous request: %v, %v, want 400", a, err)
		}
		if rest, _ := io.ReadAll(from); len(rest) > 0 {
			t.Errorf("behind it there is %q", rest)
		}
	})
}

// TestARestingConnectionEndsInTime: after the server's bound on idle connections.
func TestARestingConnectionEndsInTime(t *testing.T) {
	t.Parallel()
	restful(t, func(s *http.Server) { s.IdleTimeout = 50 * time.Millisecond }, func(t *testing.T, s *testServer, c net.Conn) {
		if _, err := io.WriteString(c, hi); err != nil {
			t.Fatal(err)
		}
		from := bufio.NewReader(c)
		answer(t, from)
		if _, err := from.ReadByte(); err == nil {
			t.Error("the connection is still open")
		}
		eventually(t, "it no longer counts", func() bool { n := s.Counts(); return n.Idle+n.Busy == 0 })
	})
}

// TestARestingConnectionEndsWithTheServer, with the client, and for a newer one.
func TestARestingConnectionEndsWithTheServer(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, s *testServer, c net.Conn){
		"server": func(t *testing.T, s *testServer, _ net.Conn) {
			if err := s.server.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"client": func(_ *testing.T, _ *testServer, c net.Conn) { _ = c.Close() },
		"newer": func(t *testing.T, s *testServer, c net.Conn) {
			s.dial(t)
			s.dial(t)
			_, _ = io.Copy(io.Discard, c)
		},
	} {
		restful(t, unchanged, func(t *testing.T, s *testServer, c net.Conn) {
			eventually(t, "the connection to rest", func() bool { return s.rests() == 1 })
			s.table.mu.Lock()
			first := s.table.kinds[0][0].first
			s.table.mu.Unlock()
			end(t, s, c)
			eventually(t, name+": it no longer counts", func() bool {
				s.table.mu.Lock()
				defer s.table.mu.Unlock()
				return !first.open
			})
		})
	}
}
