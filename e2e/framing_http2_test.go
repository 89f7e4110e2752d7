package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestAnswersOfNetHTTPToHTTP2AreAsDocumented compares each response of net/http itself
// with its row in docs/errors.md: status, Content-Type and body, and no header of
// the gateway.
func TestAnswersOfNetHTTPToHTTP2AreAsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, false)
	f := s.schemeGateway(t, "HTTPS")
	for name, tt := range map[string]struct {
		fields             []string
		status, kind, body string
	}{
		"a header too large": {
			slices.Repeat([]string{"x-any", strings.Repeat("x", 1<<10)}, 66), "431", "text/html; charset=utf-8",
			"<h1>HTTP Error 431</h1><p>Request Header Field(s) Too Large</p>",
		},
		"Connection":        {[]string{"connection", "close"}, "400", "text/plain; charset=utf-8", `request header "Connection" is not valid in HTTP/2`},
		"Proxy-Connection":  {[]string{"proxy-connection", "close"}, "400", "text/plain; charset=utf-8", `request header "Proxy-Connection" is not valid in HTTP/2`},
		"Transfer-Encoding": {[]string{"transfer-encoding", "chunked"}, "400", "text/plain; charset=utf-8", `request header "Transfer-Encoding" is not valid in HTTP/2`},
		"Upgrade":           {[]string{"upgrade", "h2c"}, "400", "text/plain; charset=utf-8", `request header "Upgrade" is not valid in HTTP/2`},
		"Keep-Alive":        {[]string{"keep-alive", "5"}, "400", "text/plain; charset=utf-8", `request header "Keep-Alive" is not valid in HTTP/2`},
		"TE":                {[]string{"te", "gzip"}, "400", "text/plain; charset=utf-8", `request header "TE" may only be "trailers" in HTTP/2`},
	} {
		t.Run(name, func(t *testing.T) {
			h := f.dialFrames(t)
			h.openStream(true, append([]string{":method", "GET", ":scheme", "https", ":path", keyOne, ":authority", "gateway"}, tt.fields...)...)
			head, body := h.readAnswer()
			if head["status"] != tt.status || head["content-type"] != tt.kind || strings.TrimSpace(body) != tt.body {
				t.Errorf("%v %q, want %s, %s, %q", head, body, tt.status, tt.kind, tt.body)
			}
			for _, ours := range []string{"x-request-id", "via", "proxy-status"} {
				if head[ours] != "" {
					t.Errorf("%s is %q: the documentation states that there is none", ours, head[ours])
				}
			}
			documented := strings.Replace(tt.body, `"`+name+`" is`, `"Connection" is`, 1)
			row := "| " + tt.status + " | "
			if !strings.Contains(string(text), row) || !strings.Contains(string(text), "`"+tt.kind+"` | `"+documented+"`") || name != "a header too large" && !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("docs/errors.md has no row of %s %q with %s", tt.status, documented, name)
			}
		})
	}
}

// readAnswer reads the response on stream 1 to its end.
func (s *frameConn) readAnswer() (head map[string]string, body string) {
	s.t.Helper()
	head = map[string]string{}
	for {
		frame, err := s.ReadFrame()
		if err != nil {
			s.t.Fatalf("reading frames: %v", err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				s.must(s.WriteSettingsAck())
			}
		case *http2.MetaHeadersFrame:
			for _, f := range frame.Fields {
				head[strings.TrimPrefix(f.Name, ":")] = f.Value
			}
		case *http2.DataFrame:
			body += string(frame.Data())
			if frame.StreamEnded() {
				return head, body
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			s.t.Fatalf("the stream ended with %v", frame)
		}
	}
}
