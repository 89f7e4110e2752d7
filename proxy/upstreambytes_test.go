package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/record"
)

// TestBytesFromUpstreamAreRecorded has a client that gets a 304 while
// the gateway fetches the value again in the background.
func TestBytesFromUpstreamAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, staleness(t, 20*time.Second, 0))
		g.get("one", keyPath)
		if x := g.last(); x.UpstreamBytes == 0 || x.UpstreamBytes != x.ResponseBytes {
			t.Errorf("a miss: %d bytes of upstream's, %d to the client", x.UpstreamBytes, x.ResponseBytes)
		}
		etag := g.get("one", keyPath).Header().Get("Etag")
		if x := g.last(); !x.Hit || x.UpstreamBytes != 0 {
			t.Errorf("a hit: %d bytes of upstream's", x.UpstreamBytes)
		}
		<-time.After(12 * time.Second)
		value := strings.Repeat("v", 250_000)
		g.upstream = func(*http.Request) (*http.Response, error) { return reply(200, value), nil }
		if w := g.get("one", keyPath, "If-None-Match: "+etag); w.Code != 304 {
			t.Fatalf("status %d, want 304", w.Code)
		}
		synctest.Wait()
		if x := g.last(); x.Status != 304 || x.UpstreamBytes != int64(len(value)) || x.BilledUnits() != 3 || x.CountedUnits() != 1 {
			t.Errorf("refreshed: %d bytes of upstream's, billed as %d, counted as %d; want %d, 3 and 1",
				x.UpstreamBytes, x.BilledUnits(), x.CountedUnits(), len(value))
		}
	})
}

// TestBytesReadForAClientThatLeftAreCounted cuts the answer to a read that changes
// a value. The gateway still reads the rest of that answer.
func TestBytesReadForAClientThatLeftAreCounted(t *testing.T) {
	g := newRig(t)
	value := strings.Repeat("v", 3*bufferBytes/2)
	g.upstream = func(*http.Request) (*http.Response, error) { return reply(200, value), nil }
	func() {
		defer func() { _ = recover() }() // ReverseProxy reports this to net/http by a panic
		g.ServeHTTP(deaf{httptest.NewRecorder()}, request(t, "GET "+keyPath+"?confirmable=true", "Authorization: Bearer one"))
	}()
	if x := g.last(); x.Status != record.StatusClientLeft || x.UpstreamBytes != int64(len(value)) {
		t.Errorf("status %d, %d bytes of upstream's; want %d, %d", x.Status, x.UpstreamBytes, record.StatusClientLeft, len(value))
	}
}
