package proxy

import (
	"net/http"
	"testing"
)

// TestAnOfferOfAnotherProtocolIsIgnored also checks that no part of the offer goes
// upstream: the request is served in the protocol in which it came (RFC 9110 section
// 7.8).
func TestAnOfferOfAnotherProtocolIsIgnored(t *testing.T) {
	for name, offer := range map[string][]string{
		"h2c":            {"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"},
		"TLS":            {"Connection: keep-alive", "Connection: Upgrade", "Upgrade: TLS/1.2"},
		"a WebSocket":    {"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"},
		"several":        {"Connection: Upgrade", "Upgrade: a/1, b", "Upgrade: c"},
		"not printable":  {"Connection: Upgrade", "Upgrade: h2c\x80"},
		"not connected":  {"Upgrade: h2c"},
		"without a name": {"Connection: Upgrade"},
	} {
		for _, head := range []string{"GET " + keyPath, "PUT " + keyPath, "DELETE " + keyPath} {
			g := newRig(t)
			lines := append([]string{"Authorization: Bearer one", "X-ANYPNT-ORG-ID: o"}, offer...)
			if head[0] == 'P' {
				lines = append(lines, "", "{}")
			}
			w := g.do(request(t, head, lines...))
			if w.Code != http.StatusOK || len(g.sent) != 1 {
				t.Errorf("%s, %s: %d %s, sent %d; want it served", name, head, w.Code, w.Body, len(g.sent))
				continue
			}
			for _, field := range []string{"Upgrade", "Http2-Settings", "Connection", "Sec-Websocket-Key"} {
				if got, ok := g.sent[0].Header[field]; ok {
					t.Errorf("%s, %s: upstream got %s %q", name, head, field, got)
				}
			}
			if g.sent[0].Header.Get("X-Anypnt-Org-Id") != "o" {
				t.Errorf("%s, %s: upstream got %v, want the client's other headers", name, head, g.sent[0].Header)
			}
		}
	}
}
