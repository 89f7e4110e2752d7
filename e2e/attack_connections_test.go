package e2e

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestAttackOnConnectionsAffectsNoOtherClient opens more connections than the gateway's
// descriptor limit. The admin listener answers all the time, as in each attack.
func TestAttackOnConnectionsAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	const few = 256 // descriptors
	checkAttacks(t, []attack{
		{name: "idle connections beyond the descriptor limit", descriptors: few, waitsUntilReady: true, run: func(a *attackRun) { a.holdConnections(400, "") }},
		{name: "half-sent headers beyond the descriptor limit", descriptors: few, waitsUntilReady: true, run: func(a *attackRun) { a.holdConnections(400, "GET / HT") }},
		{name: "half-sent headers from two addresses", descriptors: few, addresses: 2, waitsUntilReady: true, run: func(a *attackRun) { a.holdConnections(400, "GET / HT") }},
		{name: "TLS connections beyond the descriptor limit", tls: true, descriptors: few, waitsUntilReady: true, run: func(a *attackRun) { a.holdConnections(400, "") }},
		{name: "kept connections beyond the descriptor limit", descriptors: few, waitsUntilReady: true, run: func(a *attackRun) {
			a.holdConnections(400, "GET "+keyOne+" HTTP/1.1\r\nHost: gateway\r\n\r\n")
		}},
		{name: "2,000 idle connections", waitsUntilReady: true, run: func(a *attackRun) { a.holdConnections(2000, "") }},
		{name: "connections opened and closed", run: openAndClose},
	}...)
}

// holdConnections opens n connections, sends a text over each, and keeps them until the
// attack is over. It replaces connections that the gateway closes.
func (at *attackers) holdConnections(n int, text string) {
	at.parallelReady(n, func(placed func()) {
		at.repeat(func() error {
			defer placed() // the gateway may also refuse it
			c, err := at.dialHTTP1()
			if err != nil {
				return err
			}
			if _, err := io.WriteString(c, text); err != nil {
				return errors.Join(err, c.Close())
			}
			placed()
			_, err = io.Copy(io.Discard, c)
			return errors.Join(err, c.Close(), io.EOF)
		})
	})
}

// openAndClose opens connections and closes each at once, some of them with a reset.
func openAndClose(a *attackRun) {
	a.parallel(16, func(i int) {
		a.repeat(func() error {
			c, err := a.dialTCP()
			if err != nil {
				return err
			}
			if tcp, ok := c.(*countedConn).Conn.(*net.TCPConn); ok && i%2 == 0 {
				_ = tcp.SetLinger(0)
			}
			a.pause(5 * time.Millisecond)
			return c.Close()
		})
	})
}
