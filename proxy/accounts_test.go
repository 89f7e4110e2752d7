package proxy

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
)

const (
	mintPath   = "/accounts/oauth2/token"
	revokePath = "/accounts/api/v2/oauth2/revoke"
)

// slow limits the failures of one address to that many a second.
func slow(failures int) func(*Options) {
	return func(o *Options) {
		o.Guesses = ratelimit.NewFailures(ratelimit.NewLocal(ratelimit.LocalOptions{}), ratelimit.Quota{Rate: failures, Period: time.Second, Burst: failures})
	}
}

// call sends an Access Management call to the default plane.
func (g *rig) call(from, method, path, body string, lines ...string) int {
	g.t.Helper()
	r := request(g.t, method+" "+path, append(lines, "", body)...)
	r.Host, r.RemoteAddr = "gateway", from+":4711"
	return g.do(r).Code
}

func TestFailedCallsSlowTheirAddressAlone(t *testing.T) {
	for _, tt := range []struct {
		name, method, path string
		status             int // of upstream
		counts             bool
	}{
		{"wrong secret", "POST", mintPath, 401, true},
		{"invalid grant", "POST", "/accounts/api/v2/oauth2/token", 400, true},
		{"locked out", "POST", "/accounts/login", 403, true},
		{"minted", "POST", mintPath, 200, false},
		{"control plane away", "POST", mintPath, 503, false},
		{"bad token", "GET", "/accounts/api/me", 401, true},
		{"not allowed", "GET", "/accounts/api/organizations/o/environments", 403, false},
		{"malformed revoke", "POST", revokePath, 400, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, slow(2))
				g.upstream = func(*http.Request) (*http.Response, error) { return reply(tt.status, "{}"), nil }
				want := []int{tt.status, tt.status, tt.status}
				if tt.counts {
					want[2] = http.StatusTooManyRequests
				}
				var got []int
				for range 3 {
					got = append(got, g.call("192.0.2.7", tt.method, tt.path, "{}"))
				}
				if !slices.Equal(got, want) {
					t.Errorf("answers %v, want %v", got, want)
				}
				if tt.counts && (g.last().Code != "over-quota" || len(g.sent) != 2) {
					t.Errorf("record %+v, %d sent", g.last(), len(g.sent))
				}
				if got := g.call("192.0.2.8", tt.method, tt.path, "{}"); got != tt.status {
					t.Errorf("another address: %d, want %d", got, tt.status)
				}
				<-time.After(time.Second)
				if got := g.call("192.0.2.7", tt.method, tt.path, "{}"); got != tt.status {
					t.Errorf("a second later: %d, want %d", got, tt.status)
				}
			})
		})
	}
}

func TestIdentificationKnowsTheAddressBehindTheProxies(t *testing.T) {
	g := newRig(t, func(o *Options) { o.TrustedProxies = prefixes("192.0.2.0/24") })
	g.get("one", keyPath, "X-Forwarded-For: 198.51.100.1")
	g.get("one", keyPath, "X-Forwarded-For: 2001:db8:1:2:3::4")
	if want := []string{"198.51.100.1", "2001:db8:1:2::/64"}; !slices.Equal(g.addresses, want) {
		t.Errorf("identified from %q, want %q", g.addresses, want)
	}
	if x := g.last(); x.RemoteAddr != "192.0.2.7" || x.ClientAddr != "2001:db8:1:2:3::4" {
		t.Errorf("record %+v", x)
	}
	if got, want := g.sent[0].Header.Get("Forwarded"), `for="198.51.100.1";host="`+host+`";proto=http`; got != want {
		t.Errorf("Forwarded %s, want %s", got, want)
	}
}

func TestRevokedTokensAreForgotten(t *testing.T) {
	const form, body = "Content-Type: application/x-www-form-urlencoded", "token=one&token_type_hint=access_token"
	g := newRig(t)
	g.upstream = func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			text, _ := io.ReadAll(r.Body)
			if r.URL.Opaque == revokePath && string(text) != body {
				t.Errorf("upstream got %q", text)
			}
		}
		return reply(200, "{}"), nil
	}
	for range 2 { // the second request is a hit
		g.get("one", keyPath)
	}
	if !g.last().Hit {
		t.Fatalf("record %+v, want a hit", g.last())
	}
	if got := g.call("192.0.2.7", "POST", revokePath, body, form); got != 200 || !slices.Equal(g.forgotten, []string{"us Bearer one"}) {
		t.Errorf("%d, forgotten %q", got, g.forgotten)
	}
	if g.get("one", keyPath); g.last().Hit {
		t.Error("a token that was revoked still had its grant")
	}
	g.upstream = func(*http.Request) (*http.Response, error) { return reply(401, "{}"), nil }
	if g.call("192.0.2.7", "POST", revokePath, "token=two", form); len(g.forgotten) != 1 {
		t.Errorf("a revocation that upstream refused was believed: %q", g.forgotten)
	}
}
