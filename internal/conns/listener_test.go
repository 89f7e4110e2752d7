package conns

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testServer is a server on a Listener, whose handler answers with its observations.
type testServer struct {
	*Listener
	server  *http.Server
	address string
}

// serve starts a server of handler on a listener with these options.
func serve(t *testing.T, o Options, handler http.HandlerFunc) *testServer {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{Listener: New(inner, o), address: inner.Addr().String()}
	s.server = &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	s.Attach(s.server)
	go func() { _ = s.server.Serve(s.Listener) }() // ends with Close
	t.Cleanup(func() { _ = s.server.Close() })
	return s
}

// dial opens a connection that ends with the test.
func (s *testServer) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// ask sends a request and returns the body of its answer.
func ask(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return answer(t, bufio.NewReader(c))
}

func answer(t *testing.T, from *bufio.Reader) string {
	t.Helper()
	a, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// ended waits until the other end has closed c, and returns whether it did.
func ended(c net.Conn) bool {
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// eventually waits until holds returns true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// TestANewConnectionReplacesAnIdleOne, and a connection with a request stays.
func TestANewConnectionReplacesAnIdleOne(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, Options{Limit: 2}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		hello(w, r)
	})
	busy, idle := s.dial(t), s.dial(t)
	_, _ = io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := ask(t, idle, get); got != "hello" {
		t.Fatalf("answer %q", got)
	}
	eventually(t, "one connection is idle, one busy", func() bool { n := s.Counts(); return n.Idle == 1 && n.Busy == 1 })
	late := s.dial(t)
	if got := ask(t, late, get); got != "hello" {
		t.Errorf("the new connection is answered %q", got)
	}
	if !ended(idle) {
		t.Error("the idle connection is still open")
	}
	close(release)
	if got := answer(t, bufio.NewReader(busy)); got != "hello" {
		t.Errorf("the connection with a request is answered %q", got)
	}
	if n := s.Counts(); n.ClosedIdle != 1 || n.ClosedBusy+n.Refused != 0 {
		t.Errorf("counts %+v, want one idle connection closed", n)
	}
	eventually(t, "the closed connection no longer counts", func() bool { n := s.Counts(); return n.Idle+n.Busy == 2 })
	if !s.State().Full {
		t.Error("State does not report that the listener was full")
	}
}

// TestAnIdentifiedClientIsKept, because its connection is identified.
func TestAnIdentifiedClientIsKept(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Limit: 2}, func(w http.ResponseWriter, r *http.Request) {
		Identified(r)
		Identified(r)
		hello(w, r)
	})
	kept := s.dial(t)
	ask(t, kept, get)
	eventually(t, "it is idle", func() bool { return s.Counts().Idle == 1 })
	stranger := s.dial(t)
	eventually(t, "the stranger counts", func() bool { return s.Counts().Idle == 2 })
	ask(t, s.dial(t), get)
	if !ended(stranger) {
		t.Error("the stranger's connection is still open")
	}
	if got := ask(t, kept, get); got != "hello" {
		t.Errorf("the identified client is answered %q", got)
	}
}

// TestFramingIsJudgedRequestByRequest, whatever is pipelined after a request.
func TestFramingIsJudgedRequestByRequest(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"HTTP": {Limit: 10}, "HTTPS": {Limit: 10, TLS: certified(t)}} {
		s := serve(t, o, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case (r.TLS != nil) != (name == "HTTPS"):
				_, _ = io.WriteString(w, "no TLS state")
			case Ambiguous(r):
				w.Header().Set("Connection", "close")
				_, _ = io.WriteString(w, "ambiguous")
			default:
				_, _ = io.Copy(w, r.Body)
			}
		})
		c := s.dial(t)
		if o.TLS != nil {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		}
		const good = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ngood"
		const bad = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n"
		if _, err := io.WriteString(c, good+good+bad+good); err != nil {
			t.Fatal(err)
		}
		from := bufio.NewReader(c)
		for _, want := range []string{"good", "good", "ambiguous"} {
			if got := answer(t, from); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if rest, _ := io.ReadAll(from); len(rest) > 0 {
			t.Errorf("%s: behind the ambiguous request there is another answer, %q", name, rest)
		}
	}
}

// TestHTTP2IsServedAndCounted over TLS, with and without a request.
func TestHTTP2IsServedAndCounted(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, Options{Limit: 1, TLS: certified(t)}, func(w http.ResponseWriter, r *http.Request) {
		if Ambiguous(r) || r.TLS == nil || r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusTeapot)
		}
		Identified(r)
		<-release
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	statuses := make(chan int)
	go func() { // ends with the answer
		a, err := (&http.Client{Transport: transport}).Get("https://" + s.address)
		if err != nil {
			statuses <- 0
			return
		}
		_ = a.Body.Close()
		statuses <- a.StatusCode
	}()
	eventually(t, "the connection is busy", func() bool { return s.Counts().Busy == 1 })
	if !ended(s.dial(t)) {
		t.Error("a connection too many is open")
	}
	close(release)
	if got := <-statuses; got != http.StatusOK {
		t.Errorf("status %d, want 200 over HTTP/2 with TLS state", got)
	}
	eventually(t, "the connection is idle", func() bool { return s.Counts().Idle == 1 })
}

// TestAStalledHandshakeEnds within its time limit, and counts as a connection until
// then.
func TestAStalledHandshakeEnds(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	s := serve(t, Options{Limit: 10, TLS: certified(t), Handshake: time.Millisecond, Failed: func(_ net.Addr, err error) { failed <- err }}, hello)
	if c := s.dial(t); !ended(c) {
		t.Error("the connection is still open")
	}
	if err := <-failed; !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "timeout") {
		t.Errorf("the handshake ended with %v, want a timeout", err)
	}
	eventually(t, "it no longer counts", func() bool { n := s.Counts(); return n.Idle == 0 && n.Handshakes == 1 })
}

// TestPlainHTTPOnAnHTTPSListenerGetsAnExplanation to use HTTPS.
func TestPlainHTTPOnAnHTTPSListenerGetsAnExplanation(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Limit: 10, TLS: certified(t)}, hello)
	if got := ask(t, s.dial(t), get); !strings.Contains(got, "HTTP request to an HTTPS server") {
		t.Errorf("answer %q", got)
	}
}

// TestShutdownLetsRequestsEnd, and closes idle connections.
func TestShutdownLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s := serve(t, Options{Limit: 10}, func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		hello(w, r)
	})
	c := s.dial(t)
	_, _ = io.WriteString(c, get)
	<-entered
	over := make(chan error)
	go func() { over <- s.server.Shutdown(t.Context()) }() // ends with the request
	eventually(t, "the listener is closed", func() bool {
		another, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = another.Close()
		}
		return err != nil
	})
	close(release)
	if got := answer(t, bufio.NewReader(c)); got != "hello" {
		t.Errorf("answer %q", got)
	}
	if err := <-over; err != nil {
		t.Errorf("shutting down: %v", err)
	}
}

// TestAddressesCountAsNetworks: IPv4 by address, IPv6 by /64, exempt proxies not at
// all.
func TestAddressesCountAsNetworks(t *testing.T) {
	t.Parallel()
	l := New(nil, Options{Limit: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for text, want := range map[string]string{
		"192.0.2.7:80": "192.0.2.7/32", "[2001:db8::1:2:3:4]:80": "2001:db8::/64", "[::ffff:192.0.2.7]:80": "192.0.2.7/32",
		"10.1.2.3:80": "invalid Prefix", "[fe80::1%eth0]:80": "fe80::/64",
	} {
		if got := l.address(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text))).String(); got != want {
			t.Errorf("%s counts as %s, want %s", text, got, want)
		}
	}
}

// certified returns a server's TLS configuration with a certificate of its own.
func certified(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}
}
