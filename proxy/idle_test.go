package proxy

import (
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/memnet"
)

// TestIdleConnectionsEndBeforeUpstreamClosesThem checks that after 30 s, or the time
// that is set, the next request uses a new connection.
func TestIdleConnectionsEndBeforeUpstreamClosesThem(t *testing.T) {
	for name, tt := range map[string]struct{ set, idle time.Duration }{
		"by default": {0, 30 * time.Second},
		"as set":     {5 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var connections atomic.Int32
				network := memnet.Listen()
				up := &http.Server{
					Handler:     http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
					IdleTimeout: time.Minute,
					ConnState: func(_ net.Conn, state http.ConnState) {
						if state == http.StateNew {
							connections.Add(1)
						}
					},
				}
				go func() { _ = up.Serve(network) }() // ends with Close
				defer func() { _ = up.Close() }()
				transport := NewTransport(TransportOptions{Dial: network.Dial, IdleTimeout: tt.set})
				defer closeIdle(transport)
				base := &url.URL{Scheme: "http", Host: "upstream"}
				g := newRig(t, func(o *Options) { o.Override, o.Transport = base, transport })
				for i, pause := range []time.Duration{0, tt.idle - time.Millisecond, tt.idle + time.Millisecond} {
					<-time.After(pause)
					g.do(request(t, "DELETE "+keyPath, "Authorization: Bearer one"))
					if want := int32(1 + i/2); connections.Load() != want {
						t.Errorf("%v after the last request: %d connections so far, want %d", pause, connections.Load(), want)
					}
				}
			})
		})
	}
}
