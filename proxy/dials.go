package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// errAllInUse is the error of a request that gets no connection to upstream because the
// maximum number is in use.
var errAllInUse = errors.New("all upstream connections are in use")

// dials bounds the number of open connections to upstream, so that they leave file
// descriptors for other uses. It is safe for concurrent use.
type dials struct {
	slots     chan struct{} // one element for each connection that is open or being opened
	wait      time.Duration // bound on the wait for a slot
	next      func(ctx context.Context, network, address string) (net.Conn, error)
	closeIdle func() // closes the connections that no request uses
}

func newDials(most int, wait time.Duration, next func(context.Context, string, string) (net.Conn, error), closeIdle func()) *dials {
	return &dials{slots: make(chan struct{}, most), wait: wait, next: next, closeIdle: closeIdle}
}

// dial opens a connection. If the maximum is open, it first waits until another one is
// closed. A request that waits here uses a connection that becomes idle, if that
// happens first.
func (d *dials) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.acquire(ctx); err != nil {
		return nil, err
	}
	c, err := d.next(ctx, network, address)
	if err != nil {
		<-d.slots
		return nil, err
	}
	return &dialed{Conn: c, leave: sync.OnceFunc(func() { <-d.slots })}, nil
}

// acquire takes a slot, and waits for one if there is none.
func (d *dials) acquire(ctx context.Context) error {
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	d.closeIdle() // this request cannot use connections to other hosts
	late := time.NewTimer(d.wait)
	defer late.Stop()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-late.C:
		return errAllInUse
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
}

// dialed is a connection that holds a slot until it is closed.
type dialed struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (c *dialed) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err //nolint:wrapcheck // it is the network's own
}
