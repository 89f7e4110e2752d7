package emulator_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"osgate/emulator"
)

// wired returns the request that a server reads from these bytes, or nil if it would
// refuse them.
func wired(method, target, headers, body string) *http.Request {
	text := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + headers + "\r\n" + body
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return nil
	}
	r.RemoteAddr = "192.0.2.1:1234"
	return r
}

// For any request, the only 5xx answer is 501, and the body is empty or JSON.
func FuzzHandler(f *testing.F) {
	e := start(f, emulator.Options{AccountsRate: -1})
	token := as(f, e, "us", "one").token
	seeds := [][4]string{
		{"POST", "/us/accounts/api/v2/oauth2/token", "application/x-www-form-urlencoded", "grant_type=client_credentials&client_id=app-one&client_secret=secret-one"},
		{"POST", "/us/accounts/login", "application/json", `{"username":"admin","password":"admin-password"}`},
		{"POST", "/us/accounts/api/v2/oauth2/introspect", "application/x-www-form-urlencoded", "token=x"},
		{"GET", "/us/accounts/api/organizations/org-root/environments?limit=1&offset=1", "", ""},
		{"GET", stats + anHour + "&isMaster=true", "", ""},
		{"GET", stats + "/environments/env-prod/regions/us-east-1/stores" + anHour, "", ""},
		{"GET", demoKeys + "?beginsWith=K&pageSize=1&nextPageToken=AAAA", "", ""},
		{"POST", demoKeys + "/n", "application/vnd.objectstore.v1.numberoperation+json", `{"operation":"multiply","numberValue":1e300}`},
		{"PUT", demoKeys + "/a%20b?confirmable=true", "application/json", `{"binaryValue":"AAEC","metadata":{"a":"b"},"index":1}`},
		{"PATCH", "/_osemu/clients/app-two", "application/json", `{"scopes":["read:store"]}`},
		{"POST", "/_osemu/clock", "application/json", `{"advance":"0s"}`},
		{"GET", "http://object-store-eu-west-1.anypoint.mulesoft.com" + prod, "", ""},
		{"CONNECT", "localhost:443", "", ""},
		{"OPTIONS", "*", "", ""},
	}
	for _, o := range operations {
		seeds = append(seeds, [4]string{o.method, o.target, "application/json", o.body})
	}
	for _, s := range seeds {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		r := wired(method, target, "Authorization: Bearer "+token+"\r\nContent-Type: "+contentType+"\r\n", body)
		if r == nil || strings.HasPrefix(target, "/_osemu/faults") || strings.HasPrefix(target, "/_osemu/clock") {
			return
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != 501 || w.Code < 200 {
			t.Errorf("%s %q: the answer is %d %s", method, target, w.Code, w.Body)
		}
		conform(t, r, response{w.Code, w.Header(), w.Body.String()})
		if w.Body.Len() > 0 && w.Header().Get("Content-Type") != "application/yaml" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q: the body is no JSON: %q", method, target, w.Body)
		}
	})
}

// A key in a path is either refused, or its value is stored under the segment decoded
// once, with plus signs for spaces, and under no other key.
func FuzzKeyInPath(f *testing.F) {
	e := start(f, emulator.Options{})
	c := as(f, e, "us", "one")
	for _, s := range []string{"k", "%2F", "..", "%2e%2e", "a%20b", "a+b", "%zz", "%00", "a|b", "ü", "a%2Fb?x=1", "?", "/", "a/b", "a;b", "%C3%BC", strings.Repeat("k", 1025)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, segment string) {
		c.t = t
		put := wired(http.MethodPut, demoKeys+"/"+segment, "Authorization: Bearer "+c.token+"\r\nContent-Type: application/json\r\n", `{"stringValue":"v"}`)
		raw, query, _ := strings.Cut(segment, "?")
		if put == nil || query != "" {
			return
		}
		c.must(http.StatusNoContent, http.MethodDelete, demoKeys, "")
		got := c.send(put)
		if got.status != http.StatusCreated {
			if keys, _ := c.list(demoKeys); len(keys) != 0 {
				t.Fatalf("%q was refused with %d, and stored as %v", segment, got.status, keys)
			}
			return
		}
		decoded, err := url.PathUnescape(raw)
		if err != nil || strings.Contains(raw, "/") {
			t.Fatalf("%q was accepted", segment)
		}
		want := `{"keyId":` + quoted(strings.ReplaceAll(decoded, " ", "+")) + `}`
		keys, _ := c.list(demoKeys)
		if len(keys) != 1 || !sameJSON(keys[0], want) {
			t.Fatalf("%q was stored as %v, want %s", segment, keys, want)
		}
		if got := c.value(demoKeys + "/" + url.PathEscape(decoded)); got != "v" {
			t.Fatalf("%q: not found under its other spelling: %s", segment, got)
		}
	})
}

// sameJSON reports whether two texts are the same except for the escapes of characters.
func sameJSON(a, b string) bool {
	var x, y map[string]string
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && len(x) == 1 && x["keyId"] == y["keyId"]
}

// For each text that ParseWorld accepts, New returns no error, and no text causes a
// panic.
func FuzzParseWorld(f *testing.F) {
	f.Add(smallWorld)
	f.Add(`{"organizations":[{"id":"a","name":"A","parent":"a"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		w, err := emulator.ParseWorld("w.json", []byte(text))
		if err != nil {
			return
		}
		if e, err := emulator.New(emulator.Options{World: w}); err != nil {
			t.Errorf("New: %v", err)
		} else {
			e.Close()
		}
	})
}
