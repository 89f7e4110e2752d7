package emulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"osgate/emulator"
)

func TestObjectComesBackAsThePageShowsIt(t *testing.T) {
	c := one(t)
	got := c.must(http.StatusOK, http.MethodGet, demoKeys+"/KeyTwo", "").body
	want := `{"binaryValue":"++Kn0AIBAQBbwoABDiJLZXkgMiBWYWx1ZSL8rNmhAQEBAWphdmEuaW8uU2VyaWFsaXphYmzlgGFwcGxpY2F0aW9uL2pzb247IGNoYXJzZXQ9VVRGLbgAAAAAAAAADQ==","keyId":"KeyTwo","valueType":"BINARY"}`
	if got != want {
		t.Errorf("the answer is  %s\nwant %s", got, want)
	}
	c.must(http.StatusCreated, http.MethodPost, demoKeys+"/myTestKey", `{"stringValue":"Hello World","keyId":"myTestKey","valueType":"STRING"}`)
	got = c.must(http.StatusOK, http.MethodGet, demoKeys, "").body
	if want := `{"values":[{"keyId":"KeyTwo"},{"keyId":"KeyOne"},{"keyId":"myTestKey"}],"nextPageToken":null}`; got != want {
		t.Errorf("the keys after POST are %s, want %s", got, want)
	}
	c.must(http.StatusNoContent, http.MethodDelete, demoKeys+"/myTestKey", "")
	got = c.must(http.StatusOK, http.MethodGet, demoKeys, "").body
	if want := `{"values":[{"keyId":"KeyTwo"},{"keyId":"KeyOne"}],"nextPageToken":null}`; got != want {
		t.Errorf("the keys after DELETE are %s, want %s", got, want)
	}
}

func TestStoredValueIsReturned(t *testing.T) {
	c := one(t)
	for name, row := range map[string]struct{ sent, want string }{
		"string":                    {`{"stringValue":"a<b>&ü😀\n\u0000"}`, `{"keyId":"k","stringValue":"a<b>&ü😀\n\u0000","valueType":"STRING"}`},
		"empty string":              {`{"stringValue":"","valueType":"STRING"}`, `{"keyId":"k","stringValue":"","valueType":"STRING"}`},
		"integer":                   {`{"numberValue":12345678901234567890}`, `{"keyId":"k","numberValue":12345678901234567890,"valueType":"NUMBER"}`},
		"fraction":                  {`{"numberValue":-1.50e2,"valueType":"NUMBER"}`, `{"keyId":"k","numberValue":-1.50e2,"valueType":"NUMBER"}`},
		"binary":                    {`{"binaryValue":"AAEC"}`, `{"binaryValue":"AAEC","keyId":"k","valueType":"BINARY"}`},
		"metadata and index":        {`{"stringValue":"v","metadata":{"a":"b"},"index":33}`, `{"index":33,"keyId":"k","metadata":{"a":"b"},"stringValue":"v","valueType":"STRING"}`},
		"members unknown":           {`{"stringValue":"v","ttl":5}`, `{"keyId":"k","stringValue":"v","valueType":"STRING"}`},
		"nulls":                     {`{"stringValue":"v","numberValue":null,"metadata":null,"keyId":null}`, `{"keyId":"k","stringValue":"v","valueType":"STRING"}`},
		"content type with charset": {`{"stringValue":"v"}`, `{"keyId":"k","stringValue":"v","valueType":"STRING"}`},
	} {
		t.Run(name, func(t *testing.T) {
			c.do(http.MethodPut, demoKeys+"/k", row.sent, "Content-Type", "Application/JSON; charset=utf-8")
			if got := c.get(demoKeys + "/k").body; got != row.want {
				t.Errorf("after %s the object is %s, want %s", row.sent, got, row.want)
			}
		})
	}
}

func TestAnInvalidObjectIsRefusedAndChangesNothing(t *testing.T) {
	c := one(t)
	for name, row := range map[string]struct {
		body   string
		status int
	}{
		"no body":                  {"", 415},
		"not JSON":                 {`{"stringValue":`, 400},
		"not an object":            {`["stringValue"]`, 400},
		"null":                     {`null`, 400},
		"text after the object":    {`{"stringValue":"v"}{}`, 400},
		"not UTF-8":                {"{\"stringValue\":\"\xff\"}", 400},
		"no value":                 {`{}`, 400},
		"name in other case":       {`{"StringValue":"v"}`, 400},
		"two values":               {`{"stringValue":"v","numberValue":1}`, 400},
		"string that is no string": {`{"stringValue":1}`, 400},
		"number that is no number": {`{"numberValue":"1"}`, 400},
		"number infinite":          {`{"numberValue":1e999}`, 400},
		"number a list":            {`{"numberValue":[1]}`, 400},
		"base64 malformed":         {`{"binaryValue":"AAE"}`, 400},
		"base64 of the URL":        {`{"binaryValue":"-_-_"}`, 400},
		"base64 with a break":      {`{"binaryValue":"AAEC\n"}`, 400},
		"unknown valueType":        {`{"stringValue":"v","valueType":"TEXT"}`, 400},
		"other valueType":          {`{"stringValue":"v","valueType":"NUMBER"}`, 400},
		"other keyId":              {`{"stringValue":"v","keyId":"KeyTwo"}`, 400},
		"negative index":           {`{"stringValue":"v","index":-1}`, 400},
		"fraction as index":        {`{"stringValue":"v","index":1.5}`, 400},
		"metadata not an object":   {`{"stringValue":"v","metadata":"a"}`, 400},
		"metadata without strings": {`{"stringValue":"v","metadata":{"a":1}}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodPut, http.MethodPost} {
				got := c.must(row.status, method, demoKeys+"/KeyOne", row.body)
				if message := decode[map[string]any](t, got)["statusMessage"]; message == "" {
					t.Errorf("%s: the body does not explain the error: %s", method, got.body)
				}
				if got := c.value(demoKeys + "/KeyOne"); got != "Key 1 value" {
					t.Errorf("%s: the value of the key is now %q", method, got)
				}
			}
		})
	}
	c.must(http.StatusUnsupportedMediaType, http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"v"}`, "Content-Type", "application/x-www-form-urlencoded")
	c.must(http.StatusUnsupportedMediaType, http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"v"}`, "Content-Encoding", "gzip")
	c.must(http.StatusBadRequest, http.MethodPut, demoKeys+"/KeyOne?confirmable=yes", `{"stringValue":"v"}`)
	c.must(http.StatusBadRequest, http.MethodPut, demoKeys+"/KeyOne?confirmable=true&confirmable=false", `{"stringValue":"v"}`)
	c.must(http.StatusBadRequest, http.MethodPut, demoKeys+"/KeyOne?confirmable=%zz", `{"stringValue":"v"}`)
}

// The limit is on the value in base64, so a string of 7.5 MB is the longest.
func TestValueOf10MBIsTheLargest(t *testing.T) {
	c := one(t)
	longest := strings.Repeat("a", 10<<20/4*3)
	c.put(demoKeys+"/k", longest)
	if got := c.value(demoKeys + "/k"); got != longest {
		t.Errorf("the answer has %d bytes, want %d", len(got), len(longest))
	}
	c.must(http.StatusRequestEntityTooLarge, http.MethodPut, demoKeys+"/k", strings.Repeat(" ", 17<<20))
}

func TestMetadataOf4KBIsTheMost(t *testing.T) {
	c := one(t)
	metadata := func(n int) string {
		return `{"stringValue":"v","metadata":{"m":"` + strings.Repeat("x", n-len(`{"m":""}`)) + `"}}`
	}
	c.must(http.StatusCreated, http.MethodPut, demoKeys+"/k", metadata(4096))
	c.must(http.StatusRequestEntityTooLarge, http.MethodPut, demoKeys+"/k", metadata(4097))
	one(t, "oversize=400").must(http.StatusBadRequest, http.MethodPut, demoKeys+"/k", metadata(4097))
}

func TestKeyNamesFollowTheRules(t *testing.T) {
	c := one(t)
	for name, row := range map[string]struct {
		segment string
		status  int
	}{
		"slash":                  {"%2F", 201},
		"slash within":           {"a%2Fb%2fc", 201},
		"dots with a slash":      {"..%2Fx", 201},
		"backslash":              {"%5C", 201},
		"percent":                {"%25", 201},
		"question mark":          {"%3F", 201},
		"semicolon":              {"a;b", 201},
		"emoji":                  {"%F0%9F%98%80", 201},
		"raw UTF-8":              {"ü", 201},
		"1024 bytes":             {strings.Repeat("k", 1024), 201},
		"1025 bytes":             {strings.Repeat("k", 1025), 400},
		"1026 bytes in 513 runs": {strings.Repeat("%C3%BC", 513), 400},
		"empty":                  {"", 400},
		"pipe":                   {"a%7Cb", 400},
		"raw pipe":               {"a|b", 400},
		"dot":                    {".", 400},
		"dots":                   {"..", 400},
		"encoded dots":           {"%2e%2E", 400},
		"NUL":                    {"a%00b", 400},
		"line break":             {"a%0Ab", 400},
		"DEL":                    {"%7F", 400},
		"not UTF-8":              {"%FF", 400},
		"malformed percent":      {"%zz", 400},
	} {
		t.Run(name, func(t *testing.T) {
			target := demoKeys + "/" + row.segment
			r, err := http.NewRequest(http.MethodPut, "http://localhost/", strings.NewReader(`{"stringValue":"v"}`))
			if err != nil {
				t.Fatal(err)
			}
			r.RequestURI = target // as a server reads it: httptest would refuse some
			got := c.raw(r)
			if got.status != row.status {
				t.Fatalf("PUT %.80q: the answer is %d %s, want %d", row.segment, got.status, got.body, row.status)
			}
			if row.status != 201 {
				return
			}
			r.Method = http.MethodGet
			decoded, _ := url.PathUnescape(row.segment)
			if got := c.raw(r); !strings.Contains(got.body, `"keyId":`+quoted(decoded)) {
				t.Errorf("GET %.80q: the answer is %s", row.segment, got.body)
			}
		})
	}
}

func TestSpaceInAKeyIsStoredAsPlus(t *testing.T) {
	c := one(t)
	c.put(demoKeys+"/a%20b", "v")
	for _, spelling := range []string{"a%20b", "a+b", "a%2Bb", "%61+%62"} {
		if got := c.value(demoKeys + "/" + spelling); got != "v" {
			t.Errorf("%s: the answer is %q", spelling, got)
		}
	}
	c.must(http.StatusOK, http.MethodPut, demoKeys+"/a+b", `{"stringValue":"w","keyId":"a b"}`)
	for _, prefix := range []string{"a%20", "a+", "a%2B"} {
		if got := c.get(demoKeys + "?beginsWith=" + prefix).body; got != `{"values":[{"keyId":"a+b"}],"nextPageToken":null}` {
			t.Errorf("beginsWith=%s: the keys are %s", prefix, got)
		}
	}
}

func TestKeyLimitCanBeThatOfTheHelpArticle(t *testing.T) {
	c := one(t, "key-limit=256")
	c.must(http.StatusCreated, http.MethodPut, demoKeys+"/"+strings.Repeat("k", 256), `{"stringValue":"v"}`)
	c.must(http.StatusBadRequest, http.MethodPut, demoKeys+"/"+strings.Repeat("k", 257), `{"stringValue":"v"}`)
}

func TestMissingThingsAreNotFound(t *testing.T) {
	c := one(t)
	missing := []string{
		"GET " + demoKeys + "/none", "HEAD " + demoKeys + "/none", "DELETE " + demoKeys + "/none",
		"GET " + demo + "/partitions/none/keys", "GET " + demo + "/partitions/none", "HEAD " + demo + "/partitions/none",
		"DELETE " + demo + "/partitions/none", "DELETE " + demo + "/partitions/none/keys", "GET " + demo + "/partitions/none/keys/KeyOne",
		"GET " + east + prod + "/none", "DELETE " + east + prod + "/none", "GET " + east + prod + "/none/partitions",
		"DELETE " + east + prod + "/none/partitions", "GET " + east + prod + "/none/partitions/p/keys/k",
		"GET " + east + "/api/v1/organizations/org-root/environments/env-sub/stores",
		"GET " + east + "/api/v1/organizations/org-root/environments/none/stores",
	}
	for _, request := range missing {
		method, target, _ := strings.Cut(request, " ")
		c.must(http.StatusNotFound, method, target, "")
	}
	c.must(http.StatusNotFound, http.MethodPatch, east+prod+"/none", `{"defaultTtlSeconds":60}`)
	c.must(http.StatusNotFound, http.MethodPut, east+prod+"/none/partitions/p/keys/k", `{"stringValue":"v"}`)
	c.must(http.StatusNotFound, http.MethodPost, east+prod+"/none/partitions/p/keys/k", `{"stringValue":"v"}`)
}

func TestChoicesOfWritesAreKept(t *testing.T) {
	const body = `{"stringValue":"v"}`
	created := one(t)
	created.must(http.StatusCreated, http.MethodPut, demoKeys+"/k", body)
	created.must(http.StatusOK, http.MethodPut, demoKeys+"/k", body)
	created.must(http.StatusCreated, http.MethodPost, demoKeys+"/k", body)

	one(t, "put-answer=200").must(http.StatusOK, http.MethodPut, demoKeys+"/k", body)
	one(t, "put-answer=204").must(http.StatusNoContent, http.MethodPut, demoKeys+"/k", body)
	if got := created.do(http.MethodPut, demoKeys+"/k", body).body; got != "" {
		t.Errorf("write-body=empty: the answer is %s", got)
	}
	got := one(t, "write-body=object").must(http.StatusCreated, http.MethodPut, demoKeys+"/k", body).body
	if want := `{"keyId":"k","stringValue":"v","valueType":"STRING"}`; got != want {
		t.Errorf("write-body=object: the answer is %s, want %s", got, want)
	}

	conflict := one(t, "post-existing=409")
	conflict.must(http.StatusCreated, http.MethodPost, demoKeys+"/k", body)
	conflict.must(http.StatusConflict, http.MethodPost, demoKeys+"/k", `{"stringValue":"w"}`)
	if got := conflict.value(demoKeys + "/k"); got != "v" {
		t.Errorf("after a conflict the value of the key is %q", got)
	}

	missing := one(t, "missing-store=create")
	missing.put(east+prod+"/new/partitions/p/keys/k", "v")
	if got := missing.get(east + prod + "/new").status; got != http.StatusOK {
		t.Errorf("missing-store=create: the answer for the store is %d", got)
	}
}

func TestNumberOperationsCalculate(t *testing.T) {
	c := one(t)
	const media = "application/vnd.objectstore.v1.numberoperation+json"
	for _, step := range []struct{ body, want string }{
		{`{"numberValue":5}`, `5`},
		{`{"operation":"add","numberValue":9223372036854775802}`, `9223372036854775807`},
		{`{"operation":"subtract","numberValue":9223372036854775800}`, `7`},
		{`{"operation":"multiply","numberValue":1317624576693539401}`, `9223372036854775807`},
		{`{"operation":"subtract","numberValue":9223372036854775800}`, `7`},
		{`{"operation":"multiply","numberValue":-6}`, `-42`},
		{`{"operation":"add","numberValue":0.5}`, `-41.5`},
		{`{"operation":"multiply","numberValue":0}`, `0`},
		{`{"operation":"subtract","numberValue":9223372036854775807}`, `-9223372036854775807`},
		{`{"operation":"multiply","numberValue":2}`, `-18446744073709552000`},
	} {
		got := c.must(http.StatusOK, http.MethodPost, demoKeys+"/n", step.body, "Content-Type", media).body
		if want := `{"keyId":"n","numberValue":` + step.want + `,"valueType":"NUMBER"}`; got != want {
			t.Errorf("%s: the answer is %s, want %s", step.body, got, want)
		}
	}
	for _, wrong := range []string{`{}`, `{"numberValue":"x"}`, `{"numberValue":1,"operation":"divide"}`, `{"numberValue":1,"operation":7}`, `{"operation":"multiply","numberValue":1e308}`, `[]`} {
		c.must(http.StatusBadRequest, http.MethodPost, demoKeys+"/n", wrong, "Content-Type", media)
	}
	c.must(http.StatusBadRequest, http.MethodPost, demoKeys+"/KeyOne", `{"numberValue":1}`, "Content-Type", media)
	c.must(http.StatusNotFound, http.MethodPost, east+prod+"/none/partitions/p/keys/n", `{"numberValue":1}`, "Content-Type", media)
	c.must(http.StatusUnsupportedMediaType, http.MethodPut, demoKeys+"/n", `{"numberValue":1}`, "Content-Type", media)
}

func TestETagsCompareAndSwapWhereChosen(t *testing.T) {
	c := one(t, "etag=on")
	c.put(demoKeys+"/k", "1")
	first := c.get(demoKeys + "/k").header.Get("ETag")
	if head := c.must(http.StatusNoContent, http.MethodHead, demoKeys+"/k", "").header.Get("ETag"); head != first || first == "" {
		t.Fatalf("the ETag of GET is %q, of HEAD %q", first, head)
	}
	c.must(http.StatusNotModified, http.MethodGet, demoKeys+"/k", "", "If-None-Match", `"x", W/`+first)
	c.must(http.StatusOK, http.MethodPut, demoKeys+"/k", `{"stringValue":"2"}`, "If-Match", first)
	c.must(http.StatusPreconditionFailed, http.MethodPut, demoKeys+"/k", `{"stringValue":"3"}`, "If-Match", first)
	c.must(http.StatusPreconditionFailed, http.MethodDelete, demoKeys+"/k", "", "If-Match", first)
	c.must(http.StatusPreconditionFailed, http.MethodPut, demoKeys+"/k", `{"stringValue":"3"}`, "If-None-Match", "*")
	c.must(http.StatusPreconditionFailed, http.MethodPut, demoKeys+"/none", `{"stringValue":"3"}`, "If-Match", "*")
	second := c.get(demoKeys + "/k").header.Get("ETag")
	c.must(http.StatusPreconditionFailed, http.MethodPut, demoKeys+"/k", `{"stringValue":"3"}`, "If-Match", "W/"+second)
	if got := c.value(demoKeys + "/k"); got != "2" {
		t.Errorf("the value of the key is %q", got)
	}
	off := one(t)
	off.must(http.StatusOK, http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"v"}`, "If-Match", `"x"`)
	if tag := off.get(demoKeys + "/KeyOne").header.Get("ETag"); tag != "" {
		t.Errorf("etag=off: the answer is %s", tag)
	}
}

func TestErrorBodiesAreAsChosen(t *testing.T) {
	for choice, want := range map[string]string{
		"error-body=status":  `{"status":"failure","statusMessage":"The requested resource does not exist on this service: no key \"none\"","stackTrace":null}`,
		"error-body=message": `{"message":"The requested resource does not exist on this service: no key \"none\""}`,
		"error-body=named":   `{"message":"The requested resource does not exist on this service: no key \"none\"","name":"Not Found","status":404}`,
		"error-body=empty":   ``,
	} {
		if got := one(t, choice).must(http.StatusNotFound, http.MethodGet, demoKeys+"/none", "").body; got != want {
			t.Errorf("%s: the answer is %s, want %s", choice, got, want)
		}
	}
}

func TestUnknownChoicesAreRefused(t *testing.T) {
	for _, picks := range []map[string]string{{"etag": "maybe"}, {"tea": "on"}} {
		if _, err := emulator.New(emulator.Options{Choose: picks}); err == nil {
			t.Errorf("%v: no error", picks)
		}
	}
}
