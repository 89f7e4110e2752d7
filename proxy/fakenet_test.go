package proxy

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"osgate/internal/memnet"
)

// serveFake serves h on a network in memory, with the time limits of the gateway's own
// server, and returns the network. It must run in a synctest bubble.
func serveFake(t *testing.T, h http.Handler) *memnet.Listener {
	t.Helper()
	l := memnet.Listen()
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 95 * time.Second, IdleTimeout: 2 * time.Minute,
		Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{WriteByteTimeout: time.Minute},
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		_ = s.Close()
		<-time.After(time.Minute) // waiting exchanges end
	})
	return l
}

// fakeClient returns an HTTP client of l that speaks HTTP/2 or HTTP/1.
func fakeClient(t *testing.T, l *memnet.Listener, version int) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: l.Dial, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(version == 1)
	transport.Protocols.SetUnencryptedHTTP2(version == 2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// trickle is a body that comes in chunks, with a pause before each. newTrickle makes
// one.
type trickle struct {
	left  int
	chunk []byte
	pause time.Duration
	rest  []byte
	ended chan struct{}
	once  sync.Once
}

// newTrickle returns a body that begins with a chunk and continues with n more, each
// after a pause.
func newTrickle(chunk []byte, n int, pause time.Duration) *trickle {
	return &trickle{left: n, chunk: chunk, pause: pause, rest: chunk, ended: make(chan struct{})}
}

func (b *trickle) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		if b.left == 0 {
			return 0, io.EOF
		}
		select {
		case <-time.After(b.pause):
		case <-b.ended:
			return 0, io.ErrClosedPipe
		}
		b.left--
		b.rest = b.chunk
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *trickle) Close() error {
	b.once.Do(func() { close(b.ended) })
	return nil
}

// slowly returns a body of n chunks of 64 KiB, one a second.
func slowly(n int) *trickle {
	return newTrickle(bytes.Repeat([]byte("x"), 64<<10), n-1, time.Second)
}
