package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// garbage is an upstream that answers every connection with text that is not HTTP.
func garbage(t *testing.T, text string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends when l is closed
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestTextOfUpstreamIsNeverACause(t *testing.T) {
	const value = "a-value-not-to-be-told"
	for _, text := range []string{
		`{"value":"` + value + `"}`, "HTTP/1.1 " + value + " OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: " + value + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + value + "\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + value + "\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + value + "\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + value + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n " + value + ": a\r\n\r\n",
	} {
		address, g := garbage(t, text), newRig(t)
		g.upstream = func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.URL.Scheme, r.URL.Host = "http", address
			return NewTransport(TransportOptions{}).Fresh.RoundTrip(r)
		}
		g.get("one", keyPath)
		if x := g.last(); x.Cause == "" || strings.Contains(x.Cause, value) {
			t.Errorf("%q: status %d, cause %q", text, x.Status, x.Cause)
		}
	}
}

func TestTheRecordTellsHowUpstreamFailedThoughWhatIsStaleStandsIn(t *testing.T) {
	for name, tt := range map[string]struct {
		revalidate, ifError time.Duration
		fails               func(*http.Request) (*http.Response, error)
		want                string
	}{
		"refused":           {0, time.Minute, func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }, "connection_refused"},
		"late":              {0, time.Minute, func(*http.Request) (*http.Response, error) { return nil, timeout{} }, "timeout"},
		"in the background": {time.Minute, 0, func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }, "connection_refused"},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, staleness(t, tt.revalidate, tt.ifError))
			g.get("one", keyPath)
			if x := g.last(); x.UpstreamError != "" {
				t.Errorf("%s: of what was answered %q is told", name, x.UpstreamError)
			}
			<-time.After(12 * time.Second)
			g.upstream = tt.fails
			w := g.get("one", keyPath)
			if err := g.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if x := g.last(); w.Code != http.StatusOK || !x.Hit || x.UpstreamError != tt.want {
				t.Errorf("%s: %d, recorded %s", name, w.Code, fmt.Sprintf("%+v", x))
			}
		})
	}
}
