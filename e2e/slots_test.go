package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// flood is an HTTP/2 connection that sends requests without their ends. It counts those
// that are answered, or whose streams are reset.
type flood struct {
	framer  *http2.Framer
	answers *atomic.Int64
}

// flood opens a connection over TLS and sends n POSTs with one byte of a longer body.
func (g *gateway) flood(roots *x509.CertPool, answers *atomic.Int64, n int, path string) {
	g.t.Helper()
	c, err := tls.Dial("tcp", g.addr(), &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		g.t.Fatalf("connecting: %v", err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		g.t.Fatalf("beginning HTTP/2: %v", err)
	}
	f := &flood{http2.NewFramer(c, c), answers}
	if err := f.framer.WriteSettings(); err != nil {
		g.t.Fatalf("beginning HTTP/2: %v", err)
	}
	go f.read()
	for i := range n {
		f.post(uint32(2*i+1), g.addr(), path)
	}
}

// post sends a request without its end. A closed connection takes no more requests.
func (f *flood) post(stream uint32, host, path string) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":authority", host}, {":path", path}, {"content-length", "100"},
	} {
		_ = e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // to memory
	}
	_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
	_ = f.framer.WriteData(stream, false, []byte("{"))
}

func (f *flood) read() {
	over := map[uint32]bool{}
	for {
		frame, err := f.framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame.(type) {
		case *http2.HeadersFrame, *http2.RSTStreamFrame:
			if stream := frame.Header().StreamID; !over[stream] {
				over[stream] = true
				f.answers.Add(1)
			}
		}
	}
}

// TestUnidentifiedRequestsDoNotShedAKnownClient: the bodies of the unidentified
// requests never arrive. The requests are forwarded or refused.
func TestUnidentifiedRequestsDoNotShedAKnownClient(t *testing.T) {
	t.Parallel()
	cert, key, roots := certificate(t)
	s := newStack(t, false)
	token := s.gateway("RATE=0").as("app-one").token
	for name, settings := range map[string]string{"forwarded": "ACCOUNTS=true", "refused": "ACCOUNTS=false"} {
		t.Run(name, func(t *testing.T) {
			g := s.gateway(settings, "RATE=0", "ACCOUNTS_RATE=0", "MAX_EXCHANGES=1000", "TLS_CERT="+cert, "TLS_KEY="+key)
			good := g.client()
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
			t.Cleanup(transport.CloseIdleConnections)
			good.token, good.httpClient = token, newHTTPClient(transport)
			good.get(keyOne).is(http.StatusOK) // now its token is known
			var answers atomic.Int64
			const connections, streams = 8, 250
			for range connections {
				g.flood(roots, &answers, streams, "/accounts/login")
			}
			most := 62 // of one address
			if settings == "ACCOUNTS=false" {
				most = 0
			}
			eventually(t, "all but those that hold a slot to be refused", func() bool { return answers.Load() >= int64(connections*streams-most) })
			for range 50 {
				good.get(keyOne).is(http.StatusOK)
				if a := good.put("slots", "value"); a.status >= 300 {
					t.Errorf("PUT: %d %s", a.status, a.body)
				}
			}
			if most > 0 && g.hasMetricLine(`osgate_slots_shed_total{osgate_slot_shortage="address"} 0`) {
				t.Error("no request was shed")
			}
		})
	}
}

// TestSlotsOfUnidentifiedRequestsAreReleased when the request ends, and are shown while
// they are held.
func TestSlotsOfUnidentifiedRequestsAreReleased(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gateway("MAX_EXCHANGES=64") // four per address
	held := func(n string) bool { return g.hasMetricLine(`osgate_slots{osgate_slot_class="unidentified"} ` + n) }
	var connections []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", g.addr())
		if err != nil {
			t.Fatal(err)
		}
		connections = append(connections, c)
		if _, err := io.WriteString(c, "POST /accounts/login HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "four slots to be held", func() bool { return held("4") })
	eventually(t, "six to be shed", func() bool { return g.hasMetricLine(`osgate_slots_shed_total{osgate_slot_shortage="address"} 6`) })
	for _, c := range connections {
		_ = c.Close()
	}
	eventually(t, "no slot to be held", func() bool { return held("0") && g.hasMetricLine(`osgate_slots{osgate_slot_class="refused"} 0`) })
	if lines := g.accessLines(http.StatusTooManyRequests); len(lines) != 6 || !strings.Contains(g.stderr.String(), `"code":"over-quota"`) {
		t.Errorf("%d lines of the access log have 429, want 6", len(lines))
	}
}
