package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestOnlyListedHeadersGoUpstream sends headers that have harmed other proxies, and
// reads the names of the headers that osemu received.
func TestOnlyListedHeadersGoUpstream(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("CACHE_KEY_TTL=0")
	authorization := "Authorization: Bearer " + g.mint("app-one", "")
	body := stringValue("headers", "x")
	s.emulator.clearRequests()
	request := "PUT " + demoKeys + "/headers HTTP/1.1\r\nHost: gateway\r\n" + headerLines([]string{
		authorization, "Accept: application/json", "Content-Type: application/json", "User-Agent: mule", "If-Match: *", "X-ANYPNT-ORG-ID: org-root", "X-Anypnt-Env-Id: env-prod",
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", fmt.Sprintf("Content-Length: %d", len(body)),
		"Accept-Encoding: gzip, br", "Cookie: a=b", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: evil", "X-Forwarded-Uri: /evil", "X-Real-Ip: 10.0.0.1", "X-Original-Url: /evil",
		"X_Forwarded_User: admin", "X-Http-Method-Override: DELETE", "TE: trailers", "Trailer: X-Late", "Keep-Alive: 5", "Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive",
		"X-Osgate-Region: us/us-east-1", "Origin: http://evil", "Referer: http://evil", "Range: bytes=0-1", "X-Anything: else", "Connection: close, X-Anypnt-Env-Id, Content-Type, Accept, If-Match, User-Agent, Traceparent, Authorization",
	}) + "\r\n" + body
	a := sendRaw(t, g.addr(), request)
	seen := s.emulator.requests(hasTarget("PUT", demoKeys+"/headers"))
	if len(seen) != 1 {
		t.Fatalf("the answer is %d %s; osemu received %v, want one PUT", a.status, a.body, seen)
	}
	allowed := []string{
		"Authorization", "Accept", "Content-Type", "Content-Encoding", "Content-Length", "If-Match", "If-None-Match", "User-Agent", "X-Anypnt-Org-Id", "X-Anypnt-Env-Id",
		"Traceparent", "Tracestate", "Via", "Forwarded",
		"Host", // a log may count it among the headers
	}
	for _, name := range seen[0].Headers {
		if !slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, name) }) {
			t.Errorf("the header %s went upstream", name)
		}
	}
	for _, name := range []string{"Authorization", "Accept", "Content-Type", "User-Agent", "If-Match", "X-Anypnt-Org-Id", "X-Anypnt-Env-Id", "Traceparent", "Via", "Forwarded"} {
		if !seen[0].hasHeader(name) {
			t.Errorf("the header %s did not go upstream; osemu received %v", name, seen[0].Headers)
		}
	}
}

// upstream is an Object Store of the test. It records requests and sends the responses
// of the test.
type upstream struct {
	*httptest.Server
	mu       sync.Mutex
	received []*http.Request // guarded by mu
}

// upstreamTokenPrefix is the text before the client ID in the tokens of an upstream.
const upstreamTokenPrefix = "a-token-of-the-tests-own-for-"

// newUpstream returns an upstream that mints tokens and identifies the client of each.
// answer serves all other requests.
func newUpstream(t *testing.T, answer http.HandlerFunc) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/accounts/oauth2/token":
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600,"token_type":"bearer"}`, upstreamTokenPrefix+r.FormValue("client_id"))
		case "/accounts/api/me":
			_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			_, _ = fmt.Fprintf(w, `{"client":{"client_id":%q,"name":"one","org_id":"org-root","redirect_uris":[],"grant_types":["client_credentials"]},
				"user":{"id":"u1","organizationId":"org-root","organization":{"id":"org-root","name":"Acme"},"memberOfOrganizations":[{"id":"org-root","name":"Acme"}]}}`,
				strings.TrimPrefix(token, upstreamTokenPrefix))
		default:
			u.mu.Lock()
			u.received = append(u.received, r)
			u.mu.Unlock()
			answer(w, r)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) requests() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.received)
}

// TestOneAuthorizationReachesUpstreamEvenIfConnectionNamesIt names Authorization in
// Connection. A plain proxy therefore removes it.
func TestOneAuthorizationReachesUpstreamEvenIfConnectionNamesIt(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{}`) })
	s := newStack(t, false)
	g := s.gateway("UPSTREAM_OVERRIDE="+u.URL, "CACHE_KEY_TTL=0")
	token := g.mint("app-one", "")
	sendRaw(t, g.addr(), "GET "+keyOne+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: bearer "+token+"\r\nConnection: close, Authorization\r\n\r\n").is(http.StatusOK)
	twice := rawGET("gateway", keyOne, "Authorization: Bearer "+token, "Authorization: Bearer "+token)
	sendRaw(t, g.addr(), twice).checkRefusal(http.StatusBadRequest, "bad-request")
	seen := u.requests()
	if len(seen) != 1 {
		t.Fatalf("upstream received %d requests, want 1", len(seen))
	}
	scheme, sent, _ := strings.Cut(seen[0].Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") || sent != token || len(seen[0].Header["Authorization"]) != 1 {
		t.Errorf("upstream received Authorization %v, want the token, once", seen[0].Header["Authorization"])
	}
}

// TestAnswersReachClientsWithoutHopByHopHeadersAndCookies: unknown headers of upstream
// reach the client; Set-Cookie, Server and hop-by-hop headers do not.
func TestAnswersReachClientsWithoutHopByHopHeadersAndCookies(t *testing.T) {
	t.Parallel()
	const body = `{"stringValue":"x","keyId":"KeyOne","valueType":"STRING"}`
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"X-Confirmation-Id": "c-1", "ETag": `"v1"`, "Set-Cookie": "s=1", "Server": "secret/1.0", "Keep-Alive": "timeout=5", "Proxy-Authenticate": "Basic", "X-RateLimit-Limit": "9999",
			"X-Request-Id": "theirs", "Cache-Control": "private, max-age=5",
		} {
			w.Header().Set(name, value)
		}
		_, _ = fmt.Fprint(w, body)
	})
	s := newStack(t, false)
	one := s.gateway("UPSTREAM_OVERRIDE=" + u.URL).as("app-one")
	for _, way := range []string{"miss", "hit"} {
		a := one.get(keyOne).is(http.StatusOK)
		if a.body != body || a.header.Get("ETag") != `"v1"` || a.header.Get("Cache-Control") != "private, max-age=5" {
			t.Errorf("%s: %q %v, want upstream's body, ETag and Cache-Control", way, a.body, a.header)
		}
		for _, name := range []string{"Set-Cookie", "Server", "Keep-Alive", "Proxy-Authenticate"} {
			if got := a.header.Get(name); got != "" {
				t.Errorf("%s: %s is %q, want none", way, name, got)
			}
		}
		if way == "miss" && a.header.Get("X-Confirmation-Id") != "c-1" {
			t.Errorf("%s: %v, want the unknown header X-Confirmation-Id", way, a.header)
		}
		if got := a.header.Get("X-Request-Id"); got == "theirs" || len(a.header["X-Request-Id"]) != 1 {
			t.Errorf("%s: X-Request-Id %v, want only the gateway's", way, a.header["X-Request-Id"])
		}
		if got := a.header["X-Ratelimit-Limit"]; len(got) != 1 || got[0] != "10" {
			t.Errorf("%s: X-RateLimit-Limit %v, want only the gateway's", way, got)
		}
	}
	// The second request is the gateway's own, for the store's TTL.
	if seen := u.requests(); len(seen) != 2 || seen[0].URL.Path != keyOne || seen[1].URL.Path != demoStore {
		t.Errorf("upstream received %d requests, want one for the key and one for the store", len(seen))
	}
}

// TestUnsupportedRequestsAreRefused sends methods, targets, header sections and
// framings that the gateway does not serve, each over a connection of its own. All
// refusals have one form, also those of requests that net/http itself would refuse.
func TestUnsupportedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0")
	token := "Authorization: Bearer " + g.mint("app-one", "")
	s.emulator.clearRequests()
	line := func(method, target string, headers ...string) string {
		return method + " " + target + " HTTP/1.1\r\nHost: gateway\r\n" + headerLines(append(headers, token)) + "\r\n"
	}
	put := func(version string, framing ...string) string {
		return "PUT " + keyOne + " HTTP/" + version + "\r\nHost: gateway\r\n" + token + "\r\n" + headerLines(framing) + "\r\n"
	}
	const both, chunks = "Content-Length: 12", "2\r\n{}\r\n0\r\n\r\n"
	for name, tt := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"TRACE":                   {line("TRACE", keyOne), 400, "bad-request"},
		"CONNECT":                 {"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 400, "bad-request"},
		"CONNECT a known host":    {"CONNECT anypoint.mulesoft.com:443 HTTP/1.1\r\nHost: anypoint.mulesoft.com:443\r\n" + token + "\r\n\r\n", 400, "bad-request"},
		"foreign absolute form":   {line("GET", "http://example.com"+keyOne), 400, "bad-request"},
		"absolute form of a file": {line("GET", "file:///etc/passwd"), 404, "not-object-store"},
		"unknown method":          {line("BREW", keyOne), 404, "not-object-store"},
		"asterisk":                {line("OPTIONS", "*"), 404, "not-object-store"},

		"not HTTP":              {"hello\r\n\r\n", 400, "bad-request"},
		"another version":       {strings.Replace(line("GET", keyOne), "HTTP/1.1", "HTTP/3.0", 1), 505, "bad-request"},
		"two hosts":             {line("GET", keyOne, "Host: other"), 400, "bad-request"},
		"no host":               {"GET " + keyOne + " HTTP/1.1\r\n" + token + "\r\n\r\n", 400, "bad-request"},
		"a space before colon":  {line("GET", keyOne, "X-Any : x"), 400, "bad-request"},
		"a control byte":        {line("GET", keyOne, "X-Any: a\x00b"), 400, "bad-request"},
		"a header too large":    {line("GET", keyOne, "X-Any: "+strings.Repeat("x", 100<<10)), 431, "bad-request"},
		"an unknown Expect":     {put("1.1", "Expect: more", "Content-Length: 2") + "{}", 417, "bad-request"},
		"a body over the limit": {put("1.1", "Content-Length: 99999999"), 413, "too-large"},

		"two lengths":                    {put("1.1", "Content-Length: 2", "Content-Length: 3") + "{}x", 400, "bad-request"},
		"two lengths in one field":       {put("1.1", "Content-Length: 2, 3") + "{}x", 400, "bad-request"},
		"the same length in one field":   {put("1.1", "Content-Length: 2, 2") + "{}", 400, "bad-request"},
		"a length with a sign":           {put("1.1", "Content-Length: +2") + "{}", 400, "bad-request"},
		"a negative length":              {put("1.1", "Content-Length: -2") + "{}", 400, "bad-request"},
		"a hexadecimal length":           {put("1.1", "Content-Length: 0x2") + "{}", 400, "bad-request"},
		"a length too large":             {put("1.1", "Content-Length: 99999999999999999999") + "{}", 400, "bad-request"},
		"an empty length":                {put("1.1", "Content-Length:") + "{}", 400, "bad-request"},
		"length, then encoding":          {put("1.1", both, "Transfer-Encoding: chunked") + chunks, 400, "bad-request"},
		"encoding, then length":          {put("1.1", "Transfer-Encoding: chunked", both) + chunks, 400, "bad-request"},
		"encoding in capitals":           {put("1.1", both, "TRANSFER-ENCODING: CHUNKED") + chunks, 400, "bad-request"},
		"encoding after a tab":           {put("1.1", both, "Transfer-Encoding:\tchunked") + chunks, 400, "bad-request"},
		"encoding with a space":          {put("1.1", both, "Transfer-Encoding : chunked") + chunks, 400, "bad-request"},
		"encoding folded":                {put("1.1", both, "Transfer-Encoding:\r\n chunked") + chunks, 400, "bad-request"},
		"encoding and length 0":          {put("1.1", "Content-Length: 0", "Transfer-Encoding: chunked") + chunks, 400, "bad-request"},
		"encoding and two lengths":       {put("1.1", both, both, "Transfer-Encoding: chunked") + chunks, 400, "bad-request"},
		"encoding twice and length":      {put("1.1", both, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + chunks, 501, "bad-request"},
		"encoding twice":                 {put("1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + chunks, 501, "bad-request"},
		"encoding of two kinds":          {put("1.1", "Transfer-Encoding: gzip, chunked") + chunks, 501, "bad-request"},
		"encoding, then identity":        {put("1.1", "Transfer-Encoding: chunked, identity") + chunks, 501, "bad-request"},
		"encoding with a vertical tab":   {put("1.1", "Transfer-Encoding: \x0bchunked") + chunks, 400, "bad-request"},
		"unknown encoding":               {put("1.1", both, "Transfer-Encoding: x") + chunks, 501, "bad-request"},
		"identity":                       {put("1.1", both, "Transfer-Encoding: identity") + chunks, 501, "bad-request"},
		"HTTP/1.0, encoding":             {put("1.0", "Transfer-Encoding: chunked") + chunks, 400, "bad-request"},
		"HTTP/1.0, encoding and length":  {put("1.0", both, "Transfer-Encoding: chunked") + chunks, 400, "bad-request"},
		"HTTP/1.0, encoding, kept alive": {put("1.0", "Connection: keep-alive", "Transfer-Encoding: chunked") + chunks, 400, "bad-request"},
		"a chunk without a size":         {put("1.1", "Transfer-Encoding: chunked") + "x\r\n{}\r\n0\r\n\r\n", 400, "bad-request"},
		"a chunk longer than its size":   {put("1.1", "Transfer-Encoding: chunked") + "1\r\n{}\r\n0\r\n\r\n", 400, "bad-request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := sendRaw(t, g.addr(), tt.request)
			a.checkRefusal(tt.status, tt.code)
			if region := a.header.Get("X-Osgate-Region"); region != "" && region != "us/us-east-1" {
				t.Errorf("X-Osgate-Region %q", region)
			}
		})
	}
	if seen := s.emulator.requests(isNoIdentityRequest); len(seen) > 0 {
		t.Errorf("osemu received %v, want no request", seen)
	}
	known := "http://object-store-eu-west-1.anypoint.mulesoft.com"
	sendRaw(t, g.addr(), "GET "+known+keyOne+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+token+"\r\n\r\n").is(http.StatusOK)
	if seen := s.emulator.receivedTargets(); len(seen) == 0 || seen[0] != (receivedTarget{"object-store-eu-west-1.anypoint.mulesoft.com", keyOne}) {
		t.Errorf("absolute form of a known host: osemu received %v, want it at that host", seen)
	}
}

// TestForwardingLoopIsRefused sends a request with the Via that the gateway sends
// upstream.
func TestForwardingLoopIsRefused(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{}`) })
	s := newStack(t, false)
	g := s.gateway("UPSTREAM_OVERRIDE="+u.URL, "CACHE_KEY_TTL=0")
	one := g.as("app-one")
	one.get(keyOne, "Via: 1.1 another-proxy").is(http.StatusOK)
	seen := u.requests()
	if len(seen) != 1 || !strings.HasPrefix(strings.Join(seen[0].Header["Via"], ", "), "1.1 another-proxy, 1.1 ") {
		t.Fatalf("upstream received %v, want one request with the gateway's Via after the other one", seen)
	}
	one.get(keyOne, "Via: "+strings.Join(seen[0].Header["Via"], ", ")).checkRefusal(http.StatusLoopDetected, "loop")
	if n := len(u.requests()); n != 1 {
		t.Errorf("upstream received %d requests, want 1", n)
	}
}

// TestRefusalsHaveOneForm sends requests without a token, with an unknown token and
// with other schemes.
func TestRefusalsHaveOneForm(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway()
	s.addSecret("an-unknown-token")
	for authorization, code := range map[string]string{
		"": "no-token", "Bearer an-unknown-token": "bad-token", "bearer an-unknown-token": "bad-token", "Basic YTpi": "no-token", "Bearer": "no-token", "Bearer ": "no-token",
	} {
		var headers []string
		if authorization != "" {
			headers = append(headers, "Authorization: "+authorization)
		}
		a := sendRaw(t, g.addr(), rawGET("gateway", keyOne, headers...))
		a.checkRefusal(http.StatusUnauthorized, code)
		if got := a.header.Get("Www-Authenticate"); !strings.HasPrefix(got, "Bearer") {
			t.Errorf("%q: WWW-Authenticate %q, want Bearer", authorization, got)
		}
		if got := a.header.Get("X-Osgate-Region"); got != "us/us-east-1" {
			t.Errorf("%q: X-Osgate-Region %q on a refusal, want us/us-east-1", authorization, got)
		}
	}
	head := sendRaw(t, g.addr(), strings.Replace(rawGET("gateway", keyOne), "GET", "HEAD", 1))
	if head.is(http.StatusUnauthorized); head.body != "" {
		t.Errorf("the answer to HEAD has a body: %q", head.body)
	}
	if a := g.client().get(keyOne, "X-Request-Id: mine-1"); a.header.Get("X-Request-Id") != "mine-1" {
		t.Errorf("a plain X-Request-Id was replaced by %q", a.header.Get("X-Request-Id"))
	}
	if a := g.client().get(keyOne, "X-Request-Id: <script>"+strings.Repeat("x", 500)); strings.Contains(a.header.Get("X-Request-Id"), "script") {
		t.Errorf("an invalid X-Request-Id was kept: %q", a.header.Get("X-Request-Id"))
	}
}
