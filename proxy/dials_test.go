package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestUpstreamConnectionsAreBounded checks that a connection beyond the bound waits
// until another one ends, for at most the time in which a connection must be made.
// Connections that no request uses are closed first.
func TestUpstreamConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open, closedIdle atomic.Int64
		d := newDials(2, dialTimeout, func(context.Context, string, string) (net.Conn, error) {
			open.Add(1)
			near, far := net.Pipe()
			t.Cleanup(func() { _ = far.Close() })
			return near, nil
		}, func() { closedIdle.Add(1) })
		dial := func() (net.Conn, error) { return d.dial(t.Context(), "tcp", "upstream:443") }
		first, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dial(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := dial(); !errors.Is(err, errAllInUse) || time.Since(began) != dialTimeout || closedIdle.Load() != 1 {
			t.Errorf("the third: %v after %v, idle ones closed %d times; want errAllInUse after %v, once", err, time.Since(began), closedIdle.Load(), dialTimeout)
		}
		time.AfterFunc(time.Second, func() { _ = errors.Join(first.Close(), first.Close()) })
		if _, err := dial(); err != nil || time.Since(began) != dialTimeout+time.Second {
			t.Errorf("after one has ended: %v after %v", err, time.Since(began))
		}
		if open.Load() != 3 || len(d.slots) != 2 {
			t.Errorf("%d were opened and %d count, want 3 and 2", open.Load(), len(d.slots))
		}
	})
}

// TestADialThatFailsTakesNoSlot checks a dial that fails and one that is given up.
func TestADialThatFailsTakesNoSlot(t *testing.T) {
	t.Parallel()
	d := newDials(1, dialTimeout, func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, errors.New("refused") }, func() {})
	for range 3 {
		if _, err := d.dial(t.Context(), "tcp", "upstream:443"); err == nil || errors.Is(err, errAllInUse) {
			t.Errorf("%v, want the dialer's own error", err)
		}
	}
}

// TestAConnectionUnderItsCountIsFound checks that the TCP connection under the one that
// is counted is found, so that the connection of a write can be reset.
func TestAConnectionUnderItsCountIsFound(t *testing.T) {
	t.Parallel()
	tcp := &net.TCPConn{}
	if got := underlying(tls.Client(&dialed{Conn: tcp}, &tls.Config{MinVersion: tls.VersionTLS12})); got != tcp {
		t.Errorf("found %T, want the TCP connection", got)
	}
}
