package e2e

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestAttackOnConnectionsHurtsNoOther opens more connections than the gateway has
// descriptors for. The operator's listener answers all the time, as it does in each
// attack.
func TestAttackOnConnectionsHurtsNoOther(t *testing.T) {
	t.Parallel()
	const few = 256 // descriptors
	hurtNoOther(t, []attack{
		{name: "idle connections beyond the descriptor limit", descriptors: few, gathers: true, run: func(a *assault) { a.hold(400, "") }},
		{name: "half-sent headers beyond the descriptor limit", descriptors: few, gathers: true, run: func(a *assault) { a.hold(400, "GET / HT") }},
		{name: "half-sent headers from two addresses", descriptors: few, addresses: 2, gathers: true, run: func(a *assault) { a.hold(400, "GET / HT") }},
		{name: "TLS connections beyond the descriptor limit", tls: true, descriptors: few, gathers: true, run: func(a *assault) { a.hold(400, "") }},
		{name: "kept connections beyond the descriptor limit", descriptors: few, gathers: true, run: func(a *assault) {
			a.hold(400, "GET "+keyOne+" HTTP/1.1\r\nHost: gateway\r\n\r\n")
		}},
		{name: "2,000 idle connections", gathers: true, run: func(a *assault) { a.hold(2000, "") }},
		{name: "connections opened and closed", run: comeAndGo},
	}...)
}

// hold opens n connections, sends a text over each, and keeps them until the attack is
// over. One that the gateway closes is opened again.
func (at *attackers) hold(n int, text string) {
	at.gather(n, func(placed func()) {
		at.again(func() error {
			defer placed() // the gateway may refuse it, too
			c, err := at.http1()
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

// comeAndGo opens connections and closes each at once, some of them by a reset.
func comeAndGo(a *assault) {
	a.crowd(16, func(i int) {
		a.again(func() error {
			c, err := a.tcp()
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
