// Package memnet is an in-memory network for tests under testing/synctest: the clock of
// a bubble does not advance while a goroutine waits on a real socket, but it does while
// a goroutine waits on a connection of this package.
package memnet

import (
	"context"
	"net"
	"sync"
)

// Listener accepts the connections that its Dial makes. Make it by [Listen]. It is safe
// for concurrent use.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a listener that only this process can reach.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Connections that were accepted stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements [net.Listener]. It returns a name, not a network address.
func (l *Listener) Addr() net.Addr { return address{} }

// Dial connects to l and ignores network and address, so that it can be the DialContext
// of an http.Transport. It waits for Accept, at most until ctx ends.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type address struct{}

// Network implements [net.Addr].
func (address) Network() string { return "memory" }

// String implements [net.Addr].
func (address) String() string { return "memory" }
