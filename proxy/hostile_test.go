package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hostile is an upstream over TLS that offers HTTP/2 and HTTP/1.1 and answers no
// request: it fails each in one way once it has received the request's header. It
// counts these headers.
type hostile struct {
	fails    failure
	listener net.Listener
	headers  atomic.Int32
	streams  atomic.Int32 // HTTP/2 connections
	conns    sync.WaitGroup
}

// failure is how a hostile upstream fails a request. After http1 the connection is
// closed; after http2 it is closed if http2 returns true.
type failure struct {
	http2 func(f *http2.Framer, stream uint32) (closes bool)
	http1 func(c net.Conn, r *http.Request)
}

// newHostile starts an upstream that stops at the end of the test, and returns it with
// the certificates that a client must trust.
func newHostile(t *testing.T, fails failure) (*hostile, *tls.Config) {
	t.Helper()
	lender := httptest.NewUnstartedServer(nil) // lends its certificate
	lender.StartTLS()
	defer lender.Close()
	trust := lender.Client().Transport.(*http.Transport).TLSClientConfig //nolint:errcheck // it is one
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: lender.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{fails: fails, listener: l}
	h.conns.Go(h.accept)
	t.Cleanup(func() { _ = l.Close(); h.conns.Wait() })
	return h, trust
}

func (h *hostile) accept() {
	for {
		c, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.conns.Go(func() {
			defer func() { _ = c.Close() }()
			secure := c.(*tls.Conn) //nolint:errcheck // a TLS listener returns no other type
			switch {
			case secure.Handshake() != nil:
			case secure.ConnectionState().NegotiatedProtocol == "h2":
				h.streams.Add(1)
				h.serve2(c)
			default:
				h.serve1(c)
			}
		})
	}
}

// serve1 reads a request of HTTP/1 and fails it.
func (h *hostile) serve1(c net.Conn) {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	h.headers.Add(1)
	h.fails.http1(c, r)
}

// serve2 reads frames of HTTP/2 and fails each request.
func (h *hostile) serve2(c net.Conn) {
	if _, err := io.CopyN(io.Discard, c, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if f.WriteSettings() != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if errors.As(err, new(http2.StreamError)) {
			continue
		}
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				_ = f.WritePing(true, frame.Data)
			}
		case *http2.MetaHeadersFrame:
			h.headers.Add(1)
			if h.fails.http2(f, frame.StreamID) {
				return
			}
		default:
		}
	}
}
