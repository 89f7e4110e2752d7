package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"osgate/emulator"
)

const (
	demoStore = "APP_demo__defaultPersistentObjectStore"
	east      = "/us/us-east-1"
	prod      = "/api/v1/organizations/org-root/environments/env-prod/stores"
	demo      = east + prod + "/" + demoStore
	demoKeys  = demo + "/partitions/DEFAULT_PARTITION/keys"
)

// client sends requests directly to an emulator's handler.
type client struct {
	t     testing.TB
	e     *emulator.Emulator
	host  string
	token string
}

// anHour is a query of the Stats API that is always valid.
const anHour = "?startDate=2026-01-01T00:00:00Z&endDate=2026-01-01T01:00:00Z&period=1hour"

// response is an answer with its body read.
type response struct {
	status int
	header http.Header
	body   string
}

// start returns an emulator without a rate limit, unless the options have one.
func start(t testing.TB, o emulator.Options) *emulator.Emulator {
	t.Helper()
	if o.Rate == 0 {
		o.Rate = -1
	}
	e, err := emulator.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// as returns a client of the built-in world with a token of a plane.
func as(t testing.TB, e *emulator.Emulator, plane, name string) client {
	t.Helper()
	c := client{t: t, e: e, host: "localhost"}
	got := c.form("/"+plane+"/accounts/api/v2/oauth2/token",
		"grant_type=client_credentials&client_id=app-"+name+"&client_secret=secret-"+name)
	c.want(got, http.StatusOK)
	c.token = minted(t, got)
	return c
}

// minted returns the token in the answer of a token endpoint.
func minted(t testing.TB, got response) string {
	t.Helper()
	token, _ := decode[map[string]any](t, got)["access_token"].(string)
	if token == "" {
		t.Fatalf("%s has no token", got.body)
	}
	return token
}

// one returns a client of app-one in the US with these choices.
func one(t testing.TB, choices ...string) client {
	t.Helper()
	picks := map[string]string{}
	for _, c := range choices {
		name, value, _ := strings.Cut(c, "=")
		picks[name] = value
	}
	return as(t, start(t, emulator.Options{Choose: picks}), "us", "one")
}

// do sends a request; headers are name, value, name, value.
func (c client) do(method, target, body string, headers ...string) response {
	c.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = c.host
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	return c.send(r)
}

// raw sends a request as a server would have read it from the connection.
func (c client) raw(r *http.Request) response {
	c.t.Helper()
	r.Host = c.host
	r.Header = http.Header{"Authorization": {"Bearer " + c.token}, "Content-Type": {"application/json"}}
	if r.GetBody != nil {
		r.Body, _ = r.GetBody()
	}
	return c.send(r)
}

func (c client) send(r *http.Request) response {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.e.ServeHTTP(w, r)
	answer := w.Result()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatalf("%s %s: reading answer: %v", r.Method, r.RequestURI, err)
	}
	return conform(c.t, r, response{answer.StatusCode, answer.Header, string(text)})
}

func (c client) get(target string) response { c.t.Helper(); return c.do(http.MethodGet, target, "") }

func (c client) form(target, body string, headers ...string) response {
	c.t.Helper()
	return c.do(http.MethodPost, target, body, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

// must sends a request and fails the test unless the answer has this status.
func (c client) must(status int, method, target, body string, headers ...string) response {
	c.t.Helper()
	got := c.do(method, target, body, headers...)
	if got.status != status {
		c.t.Fatalf("%s %.200s: the answer is %d %.300s, want %d", method, target, got.status, got.body, status)
	}
	return got
}

func (c client) want(got response, status int) {
	c.t.Helper()
	if got.status != status {
		c.t.Fatalf("the answer is %d %.300s, want %d", got.status, got.body, status)
	}
}

// put stores a string.
func (c client) put(target, value string) {
	c.t.Helper()
	if got := c.do(http.MethodPut, target, `{"stringValue":`+quoted(value)+`}`); got.status >= 300 {
		c.t.Fatalf("PUT %.200s: the answer is %d %.300s", target, got.status, got.body)
	}
}

// value returns the string stored under a key, or the status if there is no string.
func (c client) value(target string) string {
	c.t.Helper()
	got := c.get(target)
	if got.status != http.StatusOK {
		return http.StatusText(got.status)
	}
	text, _ := decode[map[string]any](c.t, got)["stringValue"].(string)
	return text
}

// list reads a list to its end and returns its values as JSON.
func (c client) list(target string) (values []string, pages int) {
	c.t.Helper()
	return c.follow(target, "")
}

// follow is list, beginning at a page token.
func (c client) follow(target, token string) (values []string, pages int) {
	c.t.Helper()
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	for {
		page := decode[page](c.t, c.must(http.StatusOK, http.MethodGet, target+separator+"nextPageToken="+token, ""))
		pages++
		for _, v := range page.Values {
			values = append(values, string(v))
		}
		if page.NextPageToken == nil {
			return values, pages
		}
		token = *page.NextPageToken
	}
}

type page struct {
	Values        []json.RawMessage
	NextPageToken *string
}

func decode[T any](t testing.TB, from response) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(from.body), &v); err != nil {
		t.Fatalf("decoding %.300s: %v", from.body, err)
	}
	return v
}

func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}
