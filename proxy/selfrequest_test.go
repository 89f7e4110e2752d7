package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// TestTheGatewaySaysWhatItIs checks the description that people and probes get without
// a token and without a record. A request with another method or spelling does not get
// it.
func TestTheGatewaySaysWhatItIs(t *testing.T) {
	for _, head := range []string{"GET /", "GET /healthz", "HEAD /", "HEAD /healthz", "GET /?x=y", "GET /healthz?"} {
		g := newRig(t)
		w := g.do(request(t, head))
		body := selfDescription
		if strings.HasPrefix(head, "HEAD") {
			body = ""
		}
		if w.Code != http.StatusOK || w.Body.String() != body || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %v %q", head, w.Code, w.Header(), w.Body)
		}
		if len(g.exchanges)+len(g.sent)+len(g.asked) > 0 {
			t.Errorf("%s: recorded %v, sent %v, asked %v; want nothing", head, g.exchanges, g.sent, g.asked)
		}
	}
	for _, head := range []string{"POST /", "GET /Healthz", "GET /%68ealthz", "GET /healthz2", "DELETE /healthz", "OPTIONS /", "GET /livez"} {
		g := newRig(t)
		if w := g.do(request(t, head)); w.Code != http.StatusNotFound || codeOf(t, w) != "not-object-store" || len(g.exchanges) != 1 {
			t.Errorf("%s: %d %s, want 404 not-object-store and a record", head, w.Code, w.Body)
		}
	}
	g := newRig(t)
	g.Drain()
	if w := g.do(request(t, "GET /healthz")); w.Code != http.StatusServiceUnavailable || codeOf(t, w) != "draining" {
		t.Errorf("while draining: %d %s, want 503", w.Code, w.Body)
	}
}

// TestPagesOfListedOriginsMayCall checks that pages of the listed origins may call from
// a browser, and no other pages. By default no page may.
func TestPagesOfListedOriginsMayCall(t *testing.T) {
	const page, other = "https://app.example.com", "https://evil.example.com"
	for _, tt := range []struct {
		name    string
		origins []string
		origin  string
		allowed bool
	}{
		{"none are listed", nil, page, false},
		{"listed", []string{"https://x.example", page}, page, true},
		{"another", []string{page}, other, false},
		{"no origin that can be listed", []string{page}, "null", false},
		{"longer", []string{page}, page + ".evil.example", false},
		{"any", []string{"*"}, other, true},
	} {
		g := newRig(t, func(o *Options) { o.Origins = tt.origins })
		g.upstream = func(*http.Request) (*http.Response, error) {
			return reply(200, "{}", "Access-Control-Allow-Origin", "https://upstreams.example", "X-Confirmation-Id", "c1"), nil
		}
		asks := request(t, "OPTIONS "+keyPath, "Origin: "+tt.origin, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization")
		w := g.do(asks)
		h := w.Header()
		if !tt.allowed {
			if w.Code != http.StatusForbidden || codeOf(t, w) != "bad-request" || !strings.Contains(w.Body.String(), "OSGATE_CORS_ORIGINS") || h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: preflight %d %v %s, want a refusal that names the setting", tt.name, w.Code, h, w.Body)
			}
		} else if w.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != tt.origin || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "PUT") ||
			!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Vary") != "Origin" {
			t.Errorf("%s: preflight %d %v", tt.name, w.Code, h)
		}
		if len(g.sent)+len(g.asked) > 0 || len(g.exchanges) != 1 {
			t.Errorf("%s: a preflight was forwarded, identified or not recorded once", tt.name)
		}
		for _, token := range []string{"one", "bad"} { // a page may read a refusal too
			h := g.get(token, keyPath, "Origin: "+tt.origin).Header()
			want := ""
			if tt.allowed {
				want = tt.origin
			} else if tt.origins == nil && token == "one" {
				want = "https://upstreams.example" // passed on, as every header is
			}
			if got := h.Values("Access-Control-Allow-Origin"); strings.Join(got, ",") != want {
				t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", tt.name, got, want)
			}
			if vary := strings.Join(h.Values("Vary"), ","); (vary == "Origin") != (tt.origins != nil) {
				t.Errorf("%s: Vary %q", tt.name, vary)
			}
		}
	}
}
