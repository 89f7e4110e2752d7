package redisconn

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// puppet is a server that speaks the protocol of Redis as a test wants.
type puppet struct {
	t        *testing.T
	listener net.Listener
	conns    chan net.Conn
}

// puppeteer returns a Conn with a group, and its server. A caller joins those that wait
// if the latest batch was sent within joining.
func puppeteer(t *testing.T, timeout, joining time.Duration) (*Conn, *puppet) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &puppet{t: t, listener: l, conns: make(chan net.Conn, 10)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.conns <- conn
		}
	}()
	c, err := Open(Options{URL: "redis://" + l.Addr().String(), Timeout: timeout, Group: true})
	if err != nil {
		t.Fatal(err)
	}
	c.group.joinWithin = joining
	t.Cleanup(func() {
		_ = c.Close()
		_ = l.Close()
		<-ended
	})
	return c, p
}

// peer is one connection of a puppet.
type peer struct {
	net.Conn

	t    *testing.T
	from *bufio.Reader
}

// accept returns the next connection.
func (p *puppet) accept() *peer {
	p.t.Helper()
	select {
	case conn := <-p.conns:
		p.t.Cleanup(func() { _ = conn.Close() })
		return &peer{conn, p.t, bufio.NewReader(conn)}
	case <-time.After(time.Minute):
		p.t.Fatal("no connection for a minute")
		return nil
	}
}

// expect reads a GET of each key, in any order, and returns the keys as received.
func (p *peer) expect(n int) (keys []string) {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(time.Minute))
	for range n {
		value, err := readValue(p.from, 0)
		if err != nil {
			p.t.Fatalf("reading commands: %v after %q", err, keys)
		}
		command, _ := value.([]any)
		key, _ := command[1].(string)
		keys = append(keys, key)
	}
	return keys
}

// nothing checks that no command arrives.
func (p *peer) nothing() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := p.from.Peek(1); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		p.t.Errorf("data arrived, or %v", err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// answer answers each GET with its key.
func (p *peer) answer(keys ...string) {
	p.t.Helper()
	var text strings.Builder
	for _, key := range keys {
		text.WriteString("$" + strconv.Itoa(len(key)) + "\r\n" + key + "\r\n")
	}
	if _, err := io.WriteString(p, text.String()); err != nil {
		p.t.Fatal(err)
	}
}

// result is the end of a caller's round trip.
type result struct {
	value string
	err   error
}

// ask reads a key in a goroutine.
func ask(ctx context.Context, c *Conn, key string) <-chan result {
	ended := make(chan result, 1)
	go func() {
		var cmd *redis.StringCmd
		err := c.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
			cmd = p.Get(ctx, key)
			return nil
		})
		if err != nil {
			ended <- result{err: err}
			return
		}
		ended <- result{cmd.Val(), cmd.Err()}
	}()
	return ended
}

// want checks the value of a round trip.
func want(t *testing.T, ended <-chan result, value string) {
	t.Helper()
	if r := <-ended; r.err != nil || r.value != value {
		t.Errorf("got %q, %v, want %q", r.value, r.err, value)
	}
}

// await waits until a condition on the state of g holds.
func await(t *testing.T, g *group, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(100 * time.Microsecond) {
		g.mu.Lock()
		held := holds()
		g.mu.Unlock()
		if held {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it does not come for a minute")
		}
	}
}

// awaitWaiting waits until n members wait.
func awaitWaiting(t *testing.T, g *group, n int) {
	t.Helper()
	await(t, g, func() bool { return len(g.waiting) == n })
}

// awaitSent waits until n batches are under way and no leader is sending.
func awaitSent(t *testing.T, g *group, n int) {
	t.Helper()
	await(t, g, func() bool { return g.line != nil && len(g.line.pending) == n && !g.leading })
}

// first makes the first round trip of a Conn.
func first(t *testing.T, c *Conn, p *puppet) *peer {
	t.Helper()
	ended := ask(t.Context(), c, "first")
	at := p.accept()
	at.answer(at.expect(1)...)
	want(t, ended, "first")
	return at
}
