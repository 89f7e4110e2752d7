package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"osgate/record"
)

// TestUnreadableRequestIsAnsweredAndRecordedLikeAnyRefusal checks requests that net/http
// rejects before any stage.
func TestUnreadableRequestIsAnsweredAndRecordedLikeAnyRefusal(t *testing.T) {
	for _, tt := range []struct {
		status         int
		reason, detail string
	}{
		{400, "", "the request is not a valid HTTP/1.0 or HTTP/1.1 request"},
		{400, "missing required Host header", "missing required Host header"},
		{417, "", "the only supported expectation is 100-continue"},
		{431, "", "the header section of the request is too large"},
		{501, "", "the request has an unsupported transfer coding; only chunked is supported"},
		{505, "unsupported protocol version", "unsupported protocol version"},
		{599, "", "the request is not a valid HTTP/1.0 or HTTP/1.1 request"},
	} {
		g := newRig(t)
		text := g.Unread(netip.MustParseAddrPort("[::ffff:192.0.2.7]:4711"), tt.status, tt.reason)
		from := bufio.NewReader(bytes.NewReader(text))
		answer, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		var said problem
		if err := json.Unmarshal(body, &said); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		h, x := answer.Header, g.last()
		want := problem{Type: "urn:osgate:bad-request", Title: "Bad request", Status: tt.status, Detail: tt.detail, Message: tt.detail, Instance: x.ID}
		if said.Violated != nil || said.Rule != "" || said.Type != want.Type || said.Title != want.Title || said.Status != want.Status ||
			said.Detail != want.Detail || said.Message != want.Message || said.Instance != want.Instance {
			t.Errorf("%d %q: %+v, want %+v", tt.status, tt.reason, said, want)
		}
		date, err := http.ParseTime(h.Get("Date"))
		if answer.StatusCode != tt.status || h.Get("X-Request-Id") != x.ID || len(x.ID) < 16 || h.Get("Via") != "1.1 osgate" || !answer.Close || answer.ContentLength != int64(len(body)) ||
			h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" || err != nil || time.Since(date) > time.Minute ||
			h.Get("Proxy-Status") != `osgate; error=http_request_error; details="bad-request"` {
			t.Errorf("%d %q: %d %v", tt.status, tt.reason, answer.StatusCode, h)
		}
		if rest, _ := io.ReadAll(from); len(rest) > 0 {
			t.Errorf("%q follows the answer", rest)
		}
		if x.Status != tt.status || x.Code != "bad-request" || x.Cause != tt.reason || x.Surface != record.SurfaceNone || x.RemoteAddr != "192.0.2.7" ||
			x.ClientAddr != "192.0.2.7" || x.Start.IsZero() || x.ResponseBytes != int64(len(body)) {
			t.Errorf("%d %q: recorded %+v", tt.status, tt.reason, x)
		}
	}
	g := newRig(t)
	one, two := g.Unread(netip.AddrPort{}, 400, ""), g.Unread(netip.AddrPort{}, 400, "")
	if g.last().RemoteAddr != "" || bytes.Equal(one, two) || strings.Contains(string(one), "invalid") {
		t.Errorf("without an address: %q, then %q, recorded %+v", one, two, g.last())
	}
}
