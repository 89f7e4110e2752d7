package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"osgate/record"
)

// speaker is an upstream on a socket of its own that sends the answer that the test
// sets to each request, and then waits for the end of the connection.
func speaker(t *testing.T, says string) (base *url.URL, ended <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ends := make(chan error, 8)
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			if _, err := http.ReadRequest(in); err == nil {
				_, _ = io.WriteString(c, says)
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			_, err = io.Copy(io.Discard, in)
			_ = c.Close()
			ends <- err
		}
	}()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, ends
}

// TestUpstreamThatSwitchesProtocolsIsABadGateway checks that the client gets a 502 at
// once, for every kind of request, with an offer of the client and without: no switch
// is passed on.
func TestUpstreamThatSwitchesProtocolsIsABadGateway(t *testing.T) {
	for name, says := range map[string]string{
		"to h2c":     "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nand on",
		"to nothing": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
	} {
		for _, head := range []string{"GET " + keyPath, "GET " + keyPath + "?confirmable=true", "PUT " + keyPath, "HEAD " + keyPath, "POST /us/accounts/login"} {
			base, ended := speaker(t, says)
			transport := NewTransport(TransportOptions{})
			g := newRig(t, func(o *Options) { o.Override, o.Transport = base, transport })
			w := g.do(request(t, head, "Authorization: Bearer one", "Content-Type: application/json", "", "{}"))
			want, status := "upstream-unreachable", http.StatusBadGateway
			if strings.Contains(head, "login") {
				want, status = "identity-unavailable", http.StatusServiceUnavailable
			}
			if x := g.last(); w.Code != status || x.Code != record.Code(want) || !strings.Contains(x.Cause, "101") {
				t.Errorf("%s, %s: %d %s because of %q, want %d %s", head, name, w.Code, x.Code, x.Cause, status, want)
			}
			if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, %s: upstream's connection stays open", head, name)
			}
		}
	}
}

// TestNoWayUpstreamSwitchesProtocols checks the other users of upstream: discovery and
// the calls of the control plane read answers to their end.
func TestNoWayUpstreamSwitchesProtocols(t *testing.T) {
	base, ended := speaker(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	transport := NewTransport(TransportOptions{})
	for name, way := range map[string]http.RoundTripper{"kept connections": transport.Shared, "fresh connections": transport.Fresh} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base.String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := way.RoundTrip(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		if !errors.Is(err, errSwitched) {
			t.Errorf("%s: %v, want %v", name, err, errSwitched)
		}
		if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: upstream's connection stays open", name)
		}
	}
}

// TestOtherInformationalAnswersAreReadOver checks that the gateway skips such answers
// up to a bound: the client gets the final answer and none of their headers.
func TestOtherInformationalAnswersAreReadOver(t *testing.T) {
	const last = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	for says, want := range map[string]int{
		"HTTP/1.1 100 Continue\r\n\r\n" + last: http.StatusOK, "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 199 Odd\r\n\r\n" + last: http.StatusOK,
		strings.Repeat("HTTP/1.1 102 Processing\r\nX-Filler: "+strings.Repeat("f", 1000)+"\r\n\r\n", 300) + last: http.StatusBadGateway,
	} {
		base, _ := speaker(t, says)
		transport := NewTransport(TransportOptions{})
		g := newRig(t, func(o *Options) { o.Override, o.Transport = base, transport })
		w := g.get("one", keyPath)
		closeIdle(transport)
		if w.Code != want || w.Header().Get("X-Early") != "" {
			t.Errorf("%.40q: %d %v, want %d", says, w.Code, w.Header(), want)
		}
	}
}
