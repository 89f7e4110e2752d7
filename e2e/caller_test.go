package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The paths of osemu's built-in world, below a base URL.
const (
	prodStores = "/api/v1/organizations/org-root/environments/env-prod/stores"
	demoStore  = prodStores + "/APP_demo__defaultPersistentObjectStore"
	demoKeys   = demoStore + "/partitions/DEFAULT_PARTITION/keys"
)

// newHTTPClient returns a client that follows no redirect and requests no compression.
func newHTTPClient(t *http.Transport) *http.Client {
	t.DisableCompression, t.MaxIdleConnsPerHost = true, 64
	return &http.Client{
		Transport: t, Timeout: testTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var defaultHTTPClient = newHTTPClient(&http.Transport{})

// client is a client application: a base URL, a token, and headers of each request.
type client struct {
	t          testing.TB
	base       string
	token      string
	headers    []string     // "Name: value"; "Host: …" sets the request's host
	httpClient *http.Client // nil: the default HTTP client
}

// client returns a client of the gateway without a token.
func (g *gateway) client() client { return client{t: g.t, base: g.url} }

// as returns a client of the gateway with a new token of a connected app ("app-one"),
// minted through the gateway.
func (g *gateway) as(app string) client {
	g.t.Helper()
	c := g.client()
	c.token = g.mint(app, "")
	return c
}

// mint requests a token of a connected app through the gateway, from the control plane
// that prefix names ("/eu"), or from the default one if prefix is empty.
func (g *gateway) mint(app, prefix string) string {
	g.t.Helper()
	form := fmt.Sprintf("client_id=%s&client_secret=%s&grant_type=client_credentials", app, "secret-"+strings.TrimPrefix(app, "app-"))
	a := g.client().send(http.MethodPost, prefix+"/accounts/oauth2/token", form, "Content-Type: application/x-www-form-urlencoded")
	token := a.is(http.StatusOK).token()
	g.stack.addSecret(token)
	return token
}

// via returns the same client with the base URL of another gateway.
func (c client) via(g *gateway) client { c.base = g.url; return c }

// with returns a client that also sends these headers with each request.
func (c client) with(headers ...string) client {
	c.headers = append(append([]string(nil), c.headers...), headers...)
	return c
}

func (c client) get(path string, headers ...string) *answer {
	c.t.Helper()
	return c.send(http.MethodGet, path, "", headers...)
}

// put stores a string under a key of the demo store.
func (c client) put(key, value string) *answer {
	c.t.Helper()
	return c.send(http.MethodPut, demoKeys+"/"+key, stringValue(key, value), "Content-Type: application/json")
}

func stringValue(key, value string) string {
	return fmt.Sprintf(`{"stringValue":%q,"keyId":%q,"valueType":"STRING"}`, value, key)
}

// send sends one request and ends the test if there is no response.
func (c client) send(method, path, body string, headers ...string) *answer {
	c.t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// try sends one request. It may be called from any goroutine.
func (c client) try(method, path, body string, headers ...string) (*answer, error) {
	if body == "" {
		return c.tryBody(method, path, http.NoBody, 0, headers...)
	}
	return c.tryBody(method, path, strings.NewReader(body), int64(len(body)), headers...)
}

// tryBody is try with a body of size bytes.
func (c client) tryBody(method, path string, body io.Reader, size int64, headers ...string) (*answer, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	r.ContentLength = size
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for _, header := range append(append([]string(nil), c.headers...), headers...) {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	client := c.httpClient
	if client == nil {
		client = defaultHTTPClient
	}
	sent := time.Now()
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	return readAnswer(c.t, method+" "+path, response, sent)
}

// sendRaw sends these bytes over a new connection, so that no library changes them, and
// returns the first final response.
func sendRaw(t testing.TB, addr, request string) *answer {
	t.Helper()
	sent := time.Now()
	c, err := net.DialTimeout("tcp", addr, testTimeout)
	if err != nil {
		t.Fatalf("dialing: %v", err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(sent.Add(testTimeout))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatalf("sending %q: %v", request, err)
	}
	method, _, _ := strings.Cut(request, " ")
	line, _, _ := strings.Cut(request, "\r\n")
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading the answer to %q: %v", line, err)
	}
	a, err := readAnswer(t, line, response, sent)
	if err != nil {
		t.Fatalf("reading the answer to %q: %v", line, err)
	}
	return a
}

// rawGET returns an HTTP/1.1 GET request that contains target byte for byte.
func rawGET(host, target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + headerLines(headers) + "\r\n"
}

func headerLines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

// answer is a completely read response.
type answer struct {
	t       testing.TB
	request string
	status  int
	header  http.Header
	body    string
	took    time.Duration // from the sending of the request to the last byte of the response
}

func readAnswer(t testing.TB, request string, response *http.Response, sent time.Time) (*answer, error) {
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	return &answer{t: t, request: request, status: response.StatusCode, header: response.Header, body: string(body), took: time.Since(sent)}, nil
}

// is ends the test unless the answer has this status.
func (a *answer) is(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d\n%v\n%s", a.request, a.status, status, a.header, a.body)
	}
	return a
}

// succeeded ends the test unless the status is 2xx.
func (a *answer) succeeded() *answer {
	a.t.Helper()
	if a.status < 200 || a.status > 299 {
		a.t.Fatalf("%s: status %d, want 2xx\n%v\n%s", a.request, a.status, a.header, a.body)
	}
	return a
}

func (a *answer) decode(into any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		a.t.Fatalf("%s: reading %q: %v", a.request, a.body, err)
	}
}

// token returns the access token in the response to a token request.
func (a *answer) token() string {
	a.t.Helper()
	var minted struct {
		Token string `json:"access_token"`
	}
	a.decode(&minted)
	if minted.Token == "" {
		a.t.Fatalf("%s: no access_token in %q", a.request, a.body)
	}
	return minted.Token
}

// checkRefusal checks that the response is a problem of the gateway in its full form
// (RFC 9457, RFC 9209) with this status and code. It does not end the test.
func (a *answer) checkRefusal(status int, code string) {
	a.t.Helper()
	var p struct {
		Type, Title, Detail, Instance, Message string
		Status                                 int
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		a.t.Errorf("%s: status %d, want a problem of the gateway (%d %s); body %q: %v", a.request, a.status, status, code, a.body, err)
		return
	}
	if a.status != status || p.Status != status || p.Type != "urn:osgate:"+code {
		a.t.Errorf("%s: status %d, problem %+v, want %d urn:osgate:%s", a.request, a.status, p, status, code)
	}
	if p.Title == "" || p.Detail == "" || p.Message != p.Detail {
		a.t.Errorf("%s: problem %+v, want title, detail, and message with the detail's text", a.request, p)
	}
	if id := a.header.Get("X-Request-Id"); id == "" || p.Instance != id {
		a.t.Errorf("%s: instance %q, want the X-Request-Id, %q", a.request, p.Instance, id)
	}
	if got, want := a.header.Get("Content-Type"), "application/problem+json"; got != want {
		a.t.Errorf("%s: Content-Type %q, want %q", a.request, got, want)
	}
	if got := a.header.Get("Proxy-Status"); !strings.HasPrefix(got, "osgate; error=") {
		a.t.Errorf("%s: Proxy-Status %q, want osgate; error=…", a.request, got)
	}
	if a.header.Get("Via") == "" {
		a.t.Errorf("%s: no Via", a.request)
	}
}
