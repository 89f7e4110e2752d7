package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// errAllInUse is why a request has no connection to upstream: as many as there may
// be are in use.
var errAllInUse = errors.New("all upstream connections are in use")

// dials bounds how many connections to upstream are open, so that they leave
// descriptors for all else. It is safe for concurrent use.
type dials struct {
	slots     chan struct{} // one for each connection that is open or being opened
	wait      time.Duration // for a slot
	next      func(ctx context.Context, network, address string) (net.Conn, error)
	closeIdle func() // closes the connections that no request uses
}

func newDials(most int, wait time.Duration, next func(context.Context, string, string) (net.Conn, error), closeIdle func()) *dials {
	return &dials{slots: make(chan struct{}, most), wait: wait, next: next, closeIdle: closeIdle}
}

// dial opens a connection, after waiting for another's end where there is no room. A
// request that waits for it takes one that becomes idle first.
func (d *dials) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.room(ctx); err != nil {
		return nil, err
	}
	c, err := d.next(ctx, network, address)
	if err != nil {
		<-d.slots
		return nil, err
	}
	return &dialed{Conn: c, leave: sync.OnceFunc(func() { <-d.slots })}, nil
}

// room takes a slot.
func (d *dials) room(ctx context.Context) error {
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	d.closeIdle() // those of other hosts are of no use to this request
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
