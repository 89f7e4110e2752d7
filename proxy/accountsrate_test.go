package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"osgate/ratelimit"
)

const mePath = "/accounts/api/me"

// callRate limits the calls of each token, and of each address without a known token,
// to that many a second.
func callRate(rate int) func(*Options) {
	return func(o *Options) {
		o.CallLimiter = ratelimit.NewLocal(ratelimit.LocalOptions{})
		o.CallRate = ratelimit.Quota{Rate: rate, Period: time.Second, Burst: rate}
	}
}

// problemOf decodes the problem in an answer.
func problemOf(t *testing.T, w *httptest.ResponseRecorder) (p problem) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return p
}

func bearer(token string) string { return "Authorization: Bearer " + token }

func TestCallsAreLimitedByKnownTokenOrByAddress(t *testing.T) {
	const here, there = "192.0.2.7", "192.0.2.8"
	for _, tt := range []struct {
		name         string
		first        string // its calls use up all that may come at once
		firstToken   func(i int) string
		other        string
		otherToken   string
		shares       bool // the other call counts together with the first ones
		violated     string
		method, path string
	}{
		{"one known token from many addresses", here, func(int) string { return "one" }, there, "one", true, "token", "GET", mePath},
		{"another known token of the same address", here, func(int) string { return "one" }, here, "two", false, "token", "GET", mePath},
		{"invented tokens, a new one each time", here, func(i int) string { return fmt.Sprint("invented-", i) }, here, "invented-9", true, "address", "GET", mePath},
		{"invented tokens beside a known one", here, func(i int) string { return fmt.Sprint("invented-", i) }, here, "one", false, "address", "GET", mePath},
		{"invented tokens of another address", here, func(i int) string { return fmt.Sprint("invented-", i) }, there, "invented-9", false, "address", "GET", mePath},
		{"mints of one address", here, nil, here, "", true, "address", "POST", mintPath},
		{"mints of another address", here, nil, there, "", false, "address", "POST", mintPath},
		{"environments with a known token", here, func(int) string { return "one" }, there, "one", true, "token", "GET", "/accounts/api/organizations/o/environments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, callRate(3))
				send := func(from, token string) int {
					if token == "" {
						return g.call(from, tt.method, tt.path, "{}")
					}
					return g.call(from, tt.method, tt.path, "", bearer(token))
				}
				token := tt.firstToken
				if token == nil {
					token = func(int) string { return "" }
				}
				var got []int
				for i := range 4 {
					got = append(got, send(tt.first, token(i)))
				}
				if want := []int{200, 200, 200, 429}; !slices.Equal(got, want) {
					t.Errorf("the first calls got %v, want %v", got, want)
				}
				want := http.StatusOK
				if tt.shares {
					want = http.StatusTooManyRequests
				}
				if got := send(tt.other, tt.otherToken); got != want {
					t.Errorf("the other call: %d, want %d", got, want)
				}
				<-time.After(time.Second)
				if got := send(tt.first, token(0)); got != http.StatusOK {
					t.Errorf("a second later: %d, want 200", got)
				}
				n := g.CallCounts()
				if tt.violated == "token" && (n.Token == 0 || n.Address != 0) || tt.violated == "address" && (n.Address == 0 || n.Token != 0) || n.Passed < 4 {
					t.Errorf("counts %+v", n)
				}
			})
		})
	}
}

func TestAccountsCallOverTheRateGets429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, callRate(1))
		g.call("192.0.2.7", "GET", mePath, "", bearer("one"))
		r := request(t, "GET "+mePath, bearer("one"))
		r.Host = "gateway"
		w := g.do(r)
		p := problemOf(t, w)
		if w.Code != 429 || codeOf(t, w) != "over-quota" || w.Header().Get("Retry-After") != "1" || !slices.Equal(p.Violated, []string{"token"}) {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if x := g.exchanges[len(g.exchanges)-1]; x.Violated != "token" {
			t.Errorf("the record has %q as the exceeded limit, want token", x.Violated)
		}
		if len(g.sent) != 1 {
			t.Errorf("%d calls were sent, want 1", len(g.sent))
		}
	})
}

func TestCallsOfOneIPv6NetworkBehindAProxyAreOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, callRate(1), func(o *Options) { o.TrustedProxies = prefixes("192.0.2.0/24") })
		for _, tt := range []struct {
			from string
			want int
		}{{"2001:db8:1:2::1", 200}, {"2001:db8:1:2:ffff::9", 429}, {"2001:db8:1:3::1", 200}} {
			if got := g.call("192.0.2.7", "POST", mintPath, "{}", "X-Forwarded-For: "+tt.from); got != tt.want {
				t.Errorf("%s: %d, want %d", tt.from, got, tt.want)
			}
		}
	})
}

// account records what the proxy reports of calls under way.
type account struct {
	wait    time.Duration
	callers []string
	under   int
	heard   []http.Header
}

func (a *account) BeginCall(plane, caller string) time.Duration {
	if a.wait > 0 {
		return a.wait
	}
	a.callers = append(a.callers, plane+" "+caller)
	a.under++
	return 0
}

func (a *account) EndCall(_, _ string, answer http.Header) {
	a.under--
	a.heard = append(a.heard, answer.Clone())
}

func TestEveryCallThatPassedIsEndedOnce(t *testing.T) {
	a := &account{}
	g := newRig(t, func(o *Options) { o.Allowances = a })
	g.upstream = func(*http.Request) (*http.Response, error) {
		return reply(200, "{}", "X-RateLimit-Remaining", "7"), nil
	}
	g.call("192.0.2.7", "POST", mintPath, "{}")
	g.upstream = func(*http.Request) (*http.Response, error) { return nil, http.ErrHandlerTimeout }
	g.call("192.0.2.7", "POST", mintPath, "{}")
	g.get("one", keyPath) // not a call
	if a.under != 0 || len(a.heard) != 2 || a.heard[0].Get("X-RateLimit-Remaining") != "7" || a.heard[1] != nil {
		t.Errorf("%d under way, heard %v", a.under, a.heard)
	}
	if want := []string{"us 192.0.2.7", "us 192.0.2.7"}; !slices.Equal(a.callers, want) {
		t.Errorf("callers %q, want %q", a.callers, want)
	}
}

func TestCallsAreRefusedWhileTheAllowanceIsReserved(t *testing.T) {
	a := &account{wait: 30 * time.Second}
	g := newRig(t, func(o *Options) { o.Allowances = a })
	r := request(t, "GET "+mePath, bearer("one"))
	r.Host = "gateway"
	w := g.do(r)
	if p := problemOf(t, w); w.Code != 429 || w.Header().Get("Retry-After") != "30" || !slices.Equal(p.Violated, []string{"plane"}) || len(g.sent) != 0 {
		t.Errorf("%d %v %s, %d sent", w.Code, w.Header(), w.Body, len(g.sent))
	}
	if n := g.CallCounts(); n.Reserved != 1 || n.Passed != 0 {
		t.Errorf("counts %+v", n)
	}
	if w := g.get("one", keyPath); w.Code != 200 {
		t.Errorf("an Object Store operation meanwhile: %d, want 200", w.Code)
	}
}
