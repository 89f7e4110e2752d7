package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// location is a row of the table of BASE_URLs of the vendor ("Object Store v2 REST
// APIs").
type location struct{ plane, region, host string }

func (l location) String() string { return l.plane + "/" + l.region }

// locations is a second copy of the table, so that the test detects a mistake in the
// gateway's table.
var locations = []location{
	{"us", "us-east-1", "object-store-us-east-1.anypoint.mulesoft.com"},
	{"us", "us-east-2", "object-store-us-east-2.anypoint.mulesoft.com"},
	{"us", "us-west-1", "object-store-us-west-1.anypoint.mulesoft.com"},
	{"us", "us-west-2", "object-store-us-west-2.anypoint.mulesoft.com"},
	{"us", "ap-southeast-1", "object-store-ap-southeast-1.anypoint.mulesoft.com"},
	{"us", "ap-southeast-2", "object-store-ap-southeast-2.anypoint.mulesoft.com"},
	{"us", "ap-northeast-1", "object-store-ap-northeast-1.anypoint.mulesoft.com"},
	{"us", "ca-central-1", "object-store-ca-central-1.anypoint.mulesoft.com"},
	{"us", "eu-central-1", "object-store-eu-central-1.anypoint.mulesoft.com"},
	{"us", "eu-west-1", "object-store-eu-west-1.anypoint.mulesoft.com"},
	{"us", "eu-west-2", "object-store-eu-west-2.anypoint.mulesoft.com"},
	{"us", "sa-east-1", "object-store-sa-east-1.anypoint.mulesoft.com"},
	{"gov", "us-gov-west-1", "object-store-us-gov-west-1.gov.anypoint.mulesoft.com"},
	{"eu", "eu-central-1", "object-store-eu-central-1.eu1.anypoint.mulesoft.com"},
	{"eu", "eu-west-1", "object-store-eu-west-1.eu1.anypoint.mulesoft.com"},
	{"ca", "ca-central-1", "object-store-ca-central-1.ca1.platform.mulesoft.com"},
	{"jp", "ap-northeast-1", "object-store-ap-northeast-1.jp1.platform.mulesoft.com"},
}

// accountsHosts are the hosts of the control planes.
var accountsHosts = map[string]string{
	"us": "anypoint.mulesoft.com", "gov": "gov.anypoint.mulesoft.com", "eu": "eu1.anypoint.mulesoft.com",
	"ca": "ca1.platform.mulesoft.com", "jp": "jp1.platform.mulesoft.com",
}

// tokensByPlane returns a token of app-one of each control plane.
func (g *gateway) tokensByPlane() map[string]string {
	g.t.Helper()
	tokens := map[string]string{}
	for plane := range accountsHosts {
		tokens[plane] = g.mint("app-one", "/"+plane)
	}
	return tokens
}

// receivedTarget is a request that osemu received.
type receivedTarget struct{ Host, Target string }

// receivedTargets returns the requests that reached the Object Store API, in order.
func (e *emulator) receivedTargets() []receivedTarget {
	e.t.Helper()
	seen := []receivedTarget{}
	for _, r := range e.requests(isObjectStoreRequest) {
		seen = append(seen, receivedTarget{r.Host, r.Target})
	}
	return seen
}

// TestEachBaseURLIsReachedByHostPrefixHeaderAndRoute reads one key in every location,
// which it names in four ways. The log of osemu proves the Host.
func TestEachBaseURLIsReachedByHostPrefixHeaderAndRoute(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	var routes []string
	for i, l := range locations {
		routes = append(routes, fmt.Sprintf("org-root/env-prod/routed-%d=%s", i, l))
	}
	g := s.gateway("DEFAULT_REGION=", "RATE=0", "ROUTES="+strings.Join(routes, ","))
	tokens := g.tokensByPlane()
	for i, l := range locations {
		for _, way := range []struct{ name, store, host, prefix, header string }{
			{name: "host", store: "any", host: l.host},
			{name: "host-with-port", store: "any", host: strings.ToUpper(l.host) + ":443"},
			{name: "prefix", store: "any", host: "gateway", prefix: "/" + l.String()},
			{name: "header", store: "any", host: "gateway", header: "X-Osgate-Region: " + l.String()},
			{name: "route", store: fmt.Sprintf("routed-%d", i), host: "gateway"},
		} {
			s.emulator.clearRequests()
			target := fmt.Sprintf("%s/%s/partitions/p/keys/%s%%2F%d?confirmable=false", prodStores, way.store, way.name, i)
			headers := []string{"Authorization: Bearer " + tokens[l.plane]}
			if way.header != "" {
				headers = append(headers, way.header)
			}
			a := sendRaw(t, g.addr(), rawGET(way.host, way.prefix+target, headers...))
			if diff := cmp.Diff([]receivedTarget{{l.host, target}}, s.emulator.receivedTargets()); diff != "" {
				t.Errorf("%s by %s (the answer is %d %s): osemu received (-want +got):\n%s", l, way.name, a.status, a.body, diff)
			}
			if got := a.header.Get("X-Osgate-Region"); got != l.String() {
				t.Errorf("%s by %s: X-Osgate-Region %q, want %s", l, way.name, got, l)
			}
			if a.header.Get("Via") == "" || a.header.Get("X-Request-Id") == "" {
				t.Errorf("%s by %s: %v, want Via and X-Request-Id", l, way.name, a.header)
			}
		}
	}
}

// TestTargetsReachObjectStoreByteForByte sends unusual but valid keys in each way in
// which a location can be named.
func TestTargetsReachObjectStoreByteForByte(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "CACHE_KEY_TTL=0")
	token := "Authorization: Bearer " + g.mint("app-one", "")
	for _, key := range []string{
		"plain", "%2F", "a%2Fb", "%2Fa%2F", "%41", "%7E", "~", "a+b", "a%2Bb", "a%20b", "a;b", "a%3Bb", "a;b=c", "[x]", "%5Bx%5D",
		"a%252Fb", "a%252eb", "%25252e", "é", "%C3%A9", "%c3%a9", "日本", "a:b", "a@b", "a,b", "a=b&c", "a!b$c'd(e)f*g",
		"...", "..a", "a..", ".a", "a.", "a%5Cb", `a"b`, "a{b}", "a^b", "a`b", "a<b>", "%3F", "%23", "%25", "keys", "partitions", "a%3a", "a%3A",
		strings.Repeat("k", 1024),
	} {
		for _, way := range []struct{ host, prefix, header string }{
			{host: "object-store-us-east-1.anypoint.mulesoft.com"},
			{host: "gateway", prefix: "/us/us-east-1"},
			{host: "gateway", prefix: "/us/us-east-1/api/v1"}, // a base URL configured with /api/v1
			{host: "gateway", header: "X-Osgate-Region: us/us-east-1"},
			{host: "gateway"}, // the default region
		} {
			s.emulator.clearRequests()
			target := demoKeys + "/" + key
			headers := []string{token}
			if way.header != "" {
				headers = append(headers, way.header)
			}
			a := sendRaw(t, g.addr(), rawGET(way.host, way.prefix+target, headers...))
			want := []receivedTarget{{"object-store-us-east-1.anypoint.mulesoft.com", target}}
			if diff := cmp.Diff(want, s.emulator.receivedTargets()); diff != "" {
				t.Errorf("key %s by %+v (the answer is %d %s): osemu received (-want +got):\n%s", key, way, a.status, a.body, diff)
			}
		}
	}
}

// TestQueriesReachObjectStoreByteForByte includes queries that a parsing proxy would
// change.
func TestQueriesReachObjectStoreByteForByte(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "CACHE_STORES_TTL=0")
	token := "Authorization: Bearer " + g.mint("app-one", "")
	for _, query := range []string{
		"", "?", "?pageSize=3", "?pageSize=3&nextPageToken=a%2Bb%3D", "?beginsWith=a+b", "?beginsWith=a%20b&x=%7E~", "?empty=&flag", "?b=1&a=2", "?a=1&&b=2", "?q=[x]/?",
	} {
		s.emulator.clearRequests()
		a := sendRaw(t, g.addr(), rawGET("gateway", prodStores+query, token))
		if diff := cmp.Diff([]receivedTarget{{"object-store-us-east-1.anypoint.mulesoft.com", prodStores + query}}, s.emulator.receivedTargets()); diff != "" {
			t.Errorf("query %q (the answer is %d %s): osemu received (-want +got):\n%s", query, a.status, a.body, diff)
		}
	}
	for _, query := range []string{"?a=1;b=2", "?a=%zz", "?confirmable=true;confirmable=false"} { // two servers may interpret these differently: refused, or unchanged
		s.emulator.clearRequests()
		a := sendRaw(t, g.addr(), rawGET("gateway", prodStores+query, token))
		seen := s.emulator.receivedTargets()
		if a.status == http.StatusBadRequest && len(seen) == 0 {
			continue
		}
		if len(seen) != 1 || seen[0].Target != prodStores+query {
			t.Errorf("query %q (the answer is %d): osemu received %v, want a refusal with 400 or the query unchanged", query, a.status, seen)
		}
	}
}

// TestAmbiguousPathsAreRefusedAndNotForwarded sends paths that two servers could
// interpret in two ways. None of them may become another operation.
func TestAmbiguousPathsAreRefusedAndNotForwarded(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0")
	token := "Authorization: Bearer " + g.mint("app-one", "")
	s.emulator.clearRequests()
	for _, path := range []string{
		demoKeys + "/..", demoKeys + "/.", demoKeys + "/%2e%2e", demoKeys + "/%2E.", demoKeys + "/.%2e", demoKeys + "/..;x", demoKeys + "/..;", demoKeys + "/.;x=y",
		demoKeys + "/%252e", demoKeys + "/%252e%252e", demoKeys + "/..%2Fx", demoKeys + "/x%2F..", demoKeys + "/x%2F..%2Fy", demoKeys + "/x%5C..", demoKeys + "/..%5Cx",
		demoKeys + "/x%252F..", demoKeys + "/a|b", demoKeys + "/a%7Cb", demoKeys + "/%00", demoKeys + "/a%00b", demoKeys + "/%0d%0aX:y", demoKeys + "/a%7Fb",
		demoKeys + "/%FF", demoKeys + "/%C0%AE", demoKeys + "/%ED%A0%80", demoKeys + "/", demoKeys + "//a", demoKeys + "/../DEFAULT_PARTITION",
		prodStores + "/../stores/x", prodStores + "//partitions", "/us/us-east-1" + demoKeys + "/..", "/us/us-east-1" + demoKeys + "/%2e%2e/%2e%2e",
		"//nowhere", "/us//us-east-1" + demoKeys + "/KeyOne", "/api//v1" + demoKeys[len("/api/v1"):], "/api/v1/" + demoKeys[len("/api/v1"):], "/accounts//api/me", "/accounts/api/me/",
	} {
		for _, method := range []string{"GET", "DELETE"} {
			request := strings.Replace(rawGET("gateway", path, token), "GET", method, 1)
			sendRaw(t, g.addr(), request).checkRefusal(http.StatusBadRequest, "bad-path")
		}
	}
	if seen := s.emulator.requests(isObjectStoreRequest); len(seen) > 0 {
		t.Errorf("osemu received %v, want no request", seen)
	}
}

// TestABaseURLMayEndInASlash sends paths that begin with two slashes, in each way in
// which a place is named, as the vendor's own command for a token does. Upstream
// receives one slash.
func TestABaseURLMayEndInASlash(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "CACHE_KEY_TTL=0")
	form := "client_id=app-one&client_secret=secret-one&grant_type=client_credentials"
	for _, front := range []string{"//", "/us//", "//us/", "///"} {
		s.emulator.clearRequests()
		request := fmt.Sprintf("POST %saccounts/oauth2/token HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", front, len(form), form)
		token := sendRaw(t, g.addr(), request).is(http.StatusOK).token()
		s.addSecret(token)
		for _, front := range []string{"/", "/us/us-east-1/", "//us/us-east-1", "//us/us-east-1//", "/api/v1/", "//api/v1//"} {
			sendRaw(t, g.addr(), rawGET("gateway", front+keyOne, "Authorization: Bearer "+token)).is(http.StatusOK)
		}
		sendRaw(t, g.addr(), rawGET("object-store-us-east-1.anypoint.mulesoft.com", "/"+keyOne, "Authorization: Bearer "+token)).is(http.StatusOK)
		for _, r := range s.emulator.requests(isNoIdentityRequest) {
			if r.Target != keyOne && r.Target != "/accounts/oauth2/token" {
				t.Errorf("%s: osemu received %s, want no empty segment", front, r.Target)
			}
		}
		if n := len(s.emulator.requests(hasTarget("GET", keyOne))); n != 7 {
			t.Errorf("%s: osemu received %d reads, want 7", front, n)
		}
	}
}

// TestTheSurfaceIsClosed sends requests that are no operations of Object Store, or
// operations that are not forwarded.
func TestTheSurfaceIsClosed(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0")
	token := "Authorization: Bearer " + g.mint("app-one", "")
	s.emulator.clearRequests()
	for _, line := range []string{
		"POST /", "GET /favicon.ico", "POST /healthz", "OPTIONS /", "GET /api", "GET /api/v1", "GET /api/v1/organizations", "GET /api/v2/organizations/org-root/regions",
		"GET " + prodStores + "/myTestStoreId/objects", "GET /data/s/keys/k", "POST " + prodStores, "PUT " + demoKeys, "POST " + demoStore, "PATCH " + demoKeys + "/KeyOne",
		"GET " + demoKeys + "/KeyOne/confirmations", "GET " + demoKeys + "/KeyOne/confirmations/c", "DELETE /api/v1/organizations/org-root/regions",
		"GET /_osemu/requests", "DELETE /_osemu/requests", "GET /us/us-east-1/_osemu/requests", "PUT /_osemu/faults",
		"GET /accounts/api/users", "DELETE /accounts/api/organizations/org-root", "GET /accounts/../_osemu/world", "GET /accounts/api/me/../../../_osemu/world",
		"GET /livez", "GET /readyz", "GET /metrics", "GET /config", "POST /cache/purge",
		"GET /xx/us-east-1" + demoKeys,
	} {
		method, path, _ := strings.Cut(line, " ")
		a := sendRaw(t, g.addr(), strings.Replace(rawGET("gateway", path, token), "GET", method, 1))
		if a.status == http.StatusBadRequest && strings.Contains(path, "..") {
			continue // a refusal for its dots is as good
		}
		a.checkRefusal(http.StatusNotFound, "not-object-store")
	}
	if seen := s.emulator.requests(isNoIdentityRequest); len(seen) > 0 {
		t.Errorf("osemu received %v, want no request", seen)
	}
}

// TestUnknownRegionNamesAllWaysToSetOne checks the refusal of a request without a
// location.
func TestUnknownRegionNamesAllWaysToSetOne(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("DEFAULT_REGION=", "ROUTES=org-root/env-sandbox=eu/eu-west-1")
	token := "Authorization: Bearer " + g.mint("app-one", "/us")
	s.emulator.clearRequests()
	a := sendRaw(t, g.addr(), rawGET("gateway", demoKeys+"/KeyOne", token))
	a.checkRefusal(http.StatusBadRequest, "region-unknown")
	for _, way := range []string{"Host", "prefix", "X-Osgate-Region", "OSGATE_ROUTES", "OSGATE_DEFAULT_REGION"} {
		if !strings.Contains(a.body, way) {
			t.Errorf("region-unknown has %s, want it to name %s", a.body, way)
		}
	}
	us := "object-store-us-east-1.anypoint.mulesoft.com"
	for name, request := range map[string]string{
		"host against prefix":     rawGET(us, "/eu/eu-west-1"+demoKeys+"/KeyOne", token),
		"host against header":     rawGET(us, demoKeys+"/KeyOne", token, "X-Osgate-Region: us/us-west-1"),
		"prefix against header":   rawGET("gateway", "/us/us-east-1"+demoKeys+"/KeyOne", token, "X-Osgate-Region: eu/eu-west-1"),
		"region id in two planes": rawGET("gateway", demoKeys+"/KeyOne", token, "X-Osgate-Region: eu-west-1"),
		"no such region":          rawGET("gateway", demoKeys+"/KeyOne", token, "X-Osgate-Region: us/mars-1"),
		"prefix without region":   rawGET("gateway", "/us/mars-1"+demoKeys+"/KeyOne", token),
	} {
		if a := sendRaw(t, g.addr(), request); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s, want 400", name, a.status, a.body)
		}
	}
	if seen := s.emulator.requests(isObjectStoreRequest); len(seen) > 0 {
		t.Errorf("osemu received %v, want no request", seen)
	}
}

// TestLongestRouteWins has routes for an organization, an environment and a store, and
// a default region.
func TestLongestRouteWins(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "DEFAULT_REGION=us/us-west-2",
		"ROUTES=org-root=us/us-east-1,org-root/env-prod=us/us-east-2,org-root/env-prod/special=us/eu-west-2,org-root/env-prod/a%2Fb=sa-east-1")
	token := "Authorization: Bearer " + g.mint("app-one", "")
	for target, region := range map[string]string{
		"/api/v1/organizations/org-root/environments/env-sandbox/stores": "us-east-1",
		"/api/v1/organizations/org-root/regions":                         "us-east-1",
		prodStores + "/other":                                            "us-east-2",
		prodStores + "/special":                                          "eu-west-2",
		prodStores + "/a%2Fb":                                            "sa-east-1",
		"/api/v1/organizations/org-sub/environments/env-sub/stores":      "us-west-2",
	} {
		s.emulator.clearRequests()
		a := sendRaw(t, g.addr(), rawGET("gateway", target, token))
		want := []receivedTarget{{"object-store-" + region + ".anypoint.mulesoft.com", target}}
		if diff := cmp.Diff(want, s.emulator.receivedTargets()); diff != "" {
			t.Errorf("%s (the answer is %d %s): osemu received (-want +got):\n%s", target, a.status, a.body, diff)
		}
	}
}

// TestOnlyAllowedLocationsAreReached checks data residency.
func TestOnlyAllowedLocationsAreReached(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("DEFAULT_REGION=", "RATE=0", "REGIONS=eu/*,us/us-east-1")
	tokens := map[string]string{"eu": g.mint("app-one", "/eu"), "us": g.mint("app-one", "/us")}
	allowed := []string{"eu/eu-central-1", "eu/eu-west-1", "us/us-east-1"}
	for _, l := range locations {
		s.emulator.clearRequests()
		a := sendRaw(t, g.addr(), rawGET(l.host, demoKeys+"/KeyOne", "Authorization: Bearer "+tokens[l.plane]))
		seen := s.emulator.receivedTargets()
		if slices.Contains(allowed, l.String()) {
			elsewhere := func(s receivedTarget) bool { return s.Host != l.host }
			if a.status != http.StatusOK || len(seen) == 0 || slices.ContainsFunc(seen, elsewhere) {
				t.Errorf("%s, allowed: %d %s, osemu received %v", l, a.status, a.body, seen)
			}
			continue
		}
		a.checkRefusal(http.StatusForbidden, "region-not-allowed")
		if len(seen) > 0 {
			t.Errorf("%s, not allowed: osemu received %v, want no request", l, seen)
		}
	}
	// eu-west-1 is now in one reachable plane only, so that it is valid without a
	// plane.
	a := sendRaw(t, g.addr(), rawGET("gateway", demoKeys+"/KeyOne", "Authorization: Bearer "+tokens["eu"], "X-Osgate-Region: eu-west-1"))
	if got := a.is(http.StatusOK).header.Get("X-Osgate-Region"); got != "eu/eu-west-1" {
		t.Errorf("X-Osgate-Region: eu-west-1 went to %q, want eu/eu-west-1", got)
	}
}

// TestAccountsCallsGoToTheirPlane names the control plane by host, prefix, header and
// default region.
func TestAccountsCallsGoToTheirPlane(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("DEFAULT_REGION=ca/ca-central-1", "ACCOUNTS_RATE=0")
	const me = "/accounts/api/me"
	for plane, token := range g.tokensByPlane() {
		authorization := "Authorization: Bearer " + token
		requests := map[string]string{
			"host":   rawGET(accountsHosts[plane], me, authorization),
			"prefix": rawGET("gateway", "/"+plane+me, authorization),
			"header": rawGET("gateway", me, authorization, "X-Osgate-Region: "+plane),
		}
		if plane == "ca" {
			requests["default"] = rawGET("gateway", me, authorization)
		}
		for way, request := range requests {
			s.emulator.clearRequests()
			sendRaw(t, g.addr(), request).is(http.StatusOK)
			relayed := func(r receivedRequest) bool { return r.Target == me && r.hasHeader("Via") } // not the gateway's own lookup
			if seen := s.emulator.requests(relayed); len(seen) != 1 || seen[0].Host != accountsHosts[plane] {
				t.Errorf("me of %s by %s: osemu received %v, want one at %s", plane, way, seen, accountsHosts[plane])
			}
		}
	}
}

// TestTokenOfAnotherPlaneReachesNoObjectStore sends an EU token to the US plane.
func TestTokenOfAnotherPlaneReachesNoObjectStore(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway()
	token := "Authorization: Bearer " + g.mint("app-one", "/eu")
	s.emulator.clearRequests()
	sendRaw(t, g.addr(), rawGET("gateway", "/us/us-east-1"+demoKeys+"/KeyOne", token)).checkRefusal(http.StatusUnauthorized, "bad-token")
	if seen := s.emulator.requests(isObjectStoreRequest); len(seen) > 0 {
		t.Errorf("Object Store received %v, want no request", seen)
	}
	sendRaw(t, g.addr(), rawGET("gateway", "/eu/eu-west-1"+demoKeys+"/KeyOne", token)).is(http.StatusOK)
}
