package proxy

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"osgate/auth"
	"osgate/ratelimit"
	"osgate/regionmap"
)

// discovering makes a rig search for stores in three regions of the US plane.
func discovering(t *testing.T, fallback string) func(*Options) {
	t.Helper()
	m, err := regionmap.New(regionmap.Options{Regions: []string{"us/us-east-1", "us/us-east-2", "us/us-west-1"}, Default: fallback, Discover: true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := regionmap.NewDiscovery(regionmap.DiscoveryOptions{Map: m, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return func(o *Options) { o.Regions, o.Discovery = m, d }
}

var errNoRoute = errors.New("no route to host")

// in returns an upstream that answers 200 in the region of that name only, and counts
// the probes.
func in(region string, probes *atomic.Int64) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Opaque, storePath) && r.Method == http.MethodGet {
			probes.Add(1)
		}
		if strings.Contains(r.Host, region) {
			return reply(200, "{}"), nil
		}
		return reply(404, "{}"), nil
	}
}

// anywhere sends a request with a host that names no region.
func (g *rig) anywhere(method, path string, lines ...string) (status int, region string) {
	g.t.Helper()
	r := request(g.t, method+" "+path, append([]string{"Authorization: Bearer one"}, lines...)...)
	r.Host = "gateway"
	w := g.do(r)
	return w.Code, w.Header().Get(regionmap.Header)
}

func TestAStoreIsFoundWhereItIsAndRemembered(t *testing.T) {
	var probes atomic.Int64
	g := newRig(t, discovering(t, ""))
	g.upstream = in("us-east-2", &probes)
	for range 3 {
		if status, region := g.anywhere("GET", keyPath); status != 200 || region != "us/us-east-2" {
			t.Fatalf("%d in %s", status, region)
		}
	}
	if status, region := g.anywhere("PUT", keyPath, "", "{}"); status != 200 || region != "us/us-east-2" {
		t.Errorf("a write: %d in %s", status, region)
	}
	if got := probes.Load(); got != 3 {
		t.Errorf("%d probes, want one in each region", got)
	}
	if x := g.last(); x.Region != "us-east-2" || x.Plane != "us" {
		t.Errorf("record %+v", x)
	}
	for _, r := range g.sent {
		if got := r.Header.Get("Authorization"); got != "Bearer one" || r.Header.Get("Via") == "" {
			t.Errorf("upstream got %v", r.Header)
		}
	}
}

func TestDiscoveryComesAfterTokenAndQuota(t *testing.T) {
	var probes atomic.Int64
	g := newRig(t, discovering(t, ""), quota(1, 1))
	g.upstream = in("us-east-2", &probes)
	r := request(t, "GET "+keyPath, "Authorization: Bearer bad")
	r.Host = "gateway"
	if w := g.do(r); codeOf(t, w) != "bad-token" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if status, _ := g.anywhere("GET", keyPath); status != 200 {
		t.Fatal(status)
	}
	if status, _ := g.anywhere("GET", "/api/v1/organizations/o/environments/e/stores/other"); status != 429 {
		t.Errorf("over quota: %d", status)
	}
	if got := probes.Load(); got != 3 {
		t.Errorf("%d probes, want 3 for the one request that was let through", got)
	}
}

func TestEveryProbeSpendsTheBudget(t *testing.T) {
	var probes atomic.Int64
	g := newRig(t, discovering(t, ""), budget(4, ratelimit.BudgetByEgress, 0))
	g.upstream = in("us-east-2", &probes)
	if status, _ := g.anywhere("GET", keyPath); status != 200 { // three probes and the request
		t.Fatal(status)
	}
	r := request(t, "GET /api/v1/organizations/o/environments/e/stores/other", "Authorization: Bearer one")
	r.Host = "gateway"
	if w := g.do(r); codeOf(t, w) != "over-budget" {
		t.Errorf("probes beyond the budget: %d %s", w.Code, w.Body)
	}
}

func TestCountingUpstreamChargesADiscoveryOnce(t *testing.T) {
	var probes atomic.Int64
	g := newRig(t, discovering(t, ""), quota(10, 10), func(o *Options) { o.CountUpstream = true })
	g.upstream = in("us-east-2", &probes)
	r := request(t, "GET "+keyPath, "Authorization: Bearer one")
	r.Host = "gateway"
	if w := g.do(r); w.Code != 200 || w.Header().Get("X-RateLimit-Remaining") != "9" {
		t.Errorf("%d, %s left, want 9", w.Code, w.Header().Get("X-RateLimit-Remaining"))
	}
}

func TestStoresThatCannotBePlacedAreRefusedWithTheReason(t *testing.T) {
	for name, tt := range map[string]struct {
		upstream func(*http.Request) (*http.Response, error)
		fallback string
		code     string
		status   int
		says     string
	}{
		"nowhere":                {func(*http.Request) (*http.Response, error) { return reply(404, "{}"), nil }, "", "region-unknown", 400, "no region of control plane us"},
		"hidden":                 {func(*http.Request) (*http.Response, error) { return reply(403, "{}"), nil }, "", "region-unknown", 400, "for this token"},
		"everywhere":             {func(*http.Request) (*http.Response, error) { return reply(200, "{}"), nil }, "", "region-unknown", 400, "us/us-east-1, us/us-east-2, us/us-west-1"},
		"no answer":              {func(*http.Request) (*http.Response, error) { return nil, errNoRoute }, "", "upstream-unreachable", 502, "us/us-east-1"},
		"everywhere, by default": {func(*http.Request) (*http.Response, error) { return reply(200, "{}"), nil }, "us/us-east-2", "", 200, ""},
		"nowhere, by default":    {func(*http.Request) (*http.Response, error) { return reply(404, "{}"), nil }, "us/us-east-2", "", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, discovering(t, tt.fallback))
			g.upstream = tt.upstream
			r := request(t, "GET "+keyPath, "Authorization: Bearer one")
			r.Host = "gateway"
			w := g.do(r)
			if w.Code != tt.status || codeOf(t, w) != tt.code || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("%d %s, want %d %s with %q", w.Code, w.Body, tt.status, tt.code, tt.says)
			}
			if tt.fallback != "" && w.Header().Get(regionmap.Header) != tt.fallback {
				t.Errorf("went to %s, want the default region", w.Header().Get(regionmap.Header))
			}
		})
	}
}

func TestAStoreThatMovedIsLookedForAgain(t *testing.T) {
	var probes atomic.Int64
	g := newRig(t, discovering(t, ""))
	g.upstream = in("us-east-2", &probes)
	if status, region := g.anywhere("GET", storePath); status != 200 || region != "us/us-east-2" {
		t.Fatalf("%d in %s", status, region)
	}
	g.upstream = in("us-west-1", &probes)
	if status, _ := g.anywhere("GET", storePath+"/partitions"); status != 404 {
		t.Fatalf("where it was: %d", status)
	}
	if status, region := g.anywhere("GET", keyPath); status != 200 || region != "us/us-west-1" {
		t.Errorf("%d in %s, want it found anew", status, region)
	}
}

func TestNoDiscoveryForRequestsWithoutAStore(t *testing.T) {
	var probes atomic.Int64
	g := newRig(t, discovering(t, ""))
	g.upstream = in("us-east-2", &probes)
	if status, _ := g.anywhere("GET", "/api/v1/organizations/o/environments/e/stores"); status != 400 || len(g.sent) != 0 {
		t.Errorf("a store list: %d, %d sent; want 400 and nothing", status, len(g.sent))
	}
}

func TestExplainSaysThatARegionIsToBeFound(t *testing.T) {
	g := newRig(t, discovering(t, ""))
	r := request(t, "GET "+keyPath)
	r.Host = "gateway"
	if e := g.Explain(r, auth.Caller{Name: "app-one"}); e.Location != "us, in the region where the store is found" || e.Upstream != "" || e.Refused != "" {
		t.Errorf("explained as %+v", e)
	}
}

func TestRefusalOfAllRegionsIsReturnedToTheClient(t *testing.T) {
	for status, code := range map[int]string{401: "bad-token", 429: "over-quota"} {
		g := newRig(t, discovering(t, ""))
		g.upstream = func(*http.Request) (*http.Response, error) { return reply(status, "{}", "Retry-After", "3"), nil }
		r := request(t, "GET "+keyPath, "Authorization: Bearer one")
		r.Host = "gateway"
		w := g.do(r)
		if w.Code != status || codeOf(t, w) != code {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, code)
		}
		if doubted := g.doubted > 0; doubted != (status == 401) {
			t.Errorf("after %d from every region the token was doubted: %v", status, doubted)
		}
		if status == 429 && w.Header().Get("Retry-After") != "3" {
			t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
		}
	}
}
