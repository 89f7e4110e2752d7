package emulator_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"osgate/emulator"
)

const (
	root      = "/api/v1/organizations/org-root"
	partition = demo + "/partitions/DEFAULT_PARTITION"
	keyOne    = demoKeys + "/KeyOne"
	accounts  = "/us/accounts"
	formType  = "application/x-www-form-urlencoded"
	numbers   = "application/vnd.objectstore.v1.numberoperation+json"
)

// sample is a request and its expected status. In target or body, {token} is replaced
// by the token of app-one and {id} by that of a pending operation, which confirmable
// starts.
type sample struct {
	method, target, body string
	status               int
	header               []string // name, value, name, value
	choose               []string
	confirmable          bool
}

const credentials = "client_id=app-one&client_secret=secret-one"

// everyAnswer has a request for each operation, which succeeds, and more requests for
// answers that need a choice or a world of their own.
func everyAnswer() []sample {
	form := []string{"Content-Type", formType}
	mint := "grant_type=client_credentials&" + credentials
	pending := keyOne + "/confirmations/{id}"
	value := `{"stringValue":"v"}`
	etag, none := []string{"etag=on"}, []string{"If-Match", `"none"`}
	return []sample{
		{method: "GET", target: east + root + "/regions", status: 200},
		{method: "GET", target: east + prod, status: 200},
		{method: "GET", target: demo, status: 200},
		{method: "PUT", target: demo, body: `{"defaultTtlSeconds":60}`, status: 200},
		{method: "PUT", target: demo, body: `{"defaultTtlSeconds":60}`, status: 200, choose: []string{"write-body=object"}},
		{method: "PATCH", target: demo, body: `{"isFixedTtl":true}`, status: 200},
		{method: "DELETE", target: demo, status: 204},
		{method: "GET", target: demo + "/partitions", status: 200},
		{method: "DELETE", target: demo + "/partitions", status: 204},
		{method: "HEAD", target: partition, status: 204},
		{method: "GET", target: partition + "?inclusion=all", status: 200},
		{method: "DELETE", target: partition, status: 204},
		{method: "DELETE", target: partition + "?confirmable=true", status: 200, choose: []string{"confirmation-id=body"}},
		{method: "GET", target: demoKeys, status: 200},
		{method: "DELETE", target: demoKeys, status: 204},
		{method: "GET", target: keyOne, status: 200},
		{method: "GET", target: keyOne + "?confirmable=true", status: 200, choose: []string{"confirmation-id=body"}},
		{method: "GET", target: keyOne, status: 304, header: []string{"If-None-Match", "*"}, choose: etag},
		{method: "HEAD", target: keyOne, status: 204},
		{method: "PUT", target: keyOne, body: value, status: 200},
		{method: "PUT", target: keyOne + "?confirmable=true", body: value, status: 200, choose: []string{"confirmation-id=body"}},
		{method: "PUT", target: demoKeys + "/a%2Fb%20c", body: `{"numberValue":1.5}`, status: 201, choose: []string{"write-body=object"}},
		{method: "PUT", target: keyOne, body: value, status: 204, choose: []string{"put-answer=204"}},
		{method: "PUT", target: keyOne, body: value, status: 412, header: none, choose: etag},
		{method: "POST", target: keyOne, body: value, status: 201},
		{method: "POST", target: demoKeys + "/n", body: `{"numberValue":2}`, status: 200, header: []string{"Content-Type", numbers}},
		{method: "POST", target: keyOne, body: value, status: 409, choose: []string{"post-existing=409"}},
		{method: "POST", target: keyOne, body: value, status: 412, header: none, choose: etag},
		{method: "DELETE", target: keyOne, status: 204},
		{method: "DELETE", target: keyOne + "?confirmable=true", status: 200, choose: []string{"confirmation-id=body"}},
		{method: "DELETE", target: keyOne, status: 412, header: none, choose: etag},
		{method: "POST", target: pending, status: 204, confirmable: true},
		{method: "PATCH", target: pending, body: `{"ttl":60}`, status: 204, confirmable: true},
		{method: "DELETE", target: pending, status: 204, confirmable: true},

		{method: "GET", target: stats + anHour, status: 200},
		{method: "GET", target: stats + "/environments" + anHour, status: 200},
		{method: "GET", target: stats + "/environments/env-prod" + anHour, status: 200},
		{method: "GET", target: stats + "/environments/env-prod/regions" + anHour, status: 200},
		{method: "GET", target: stats + "/environments/env-prod/regions/us-east-1" + anHour, status: 200},
		{method: "GET", target: stats + "/environments/env-prod/regions/us-east-1/stores" + anHour, status: 200},
		{method: "GET", target: stats + "/environments/env-prod/regions/us-east-1/stores/" + demoStore + anHour, status: 200},

		{method: "POST", target: accounts + "/oauth2/token", body: mint, header: form, status: 200},
		{method: "POST", target: accounts + "/api/oauth2/token", body: mint, header: form, status: 200},
		{method: "POST", target: accounts + "/api/v2/oauth2/token", body: mint, header: form, status: 200},
		{method: "POST", target: accounts + "/login", body: `{"username":"admin","password":"admin-password"}`, status: 200},
		{method: "POST", target: accounts + "/login", body: `{"username":"gone","password":"secret"}`, status: 403},
		{method: "POST", target: accounts + "/api/login", body: `{"username":"admin","password":"admin-password"}`, status: 200},
		{method: "POST", target: accounts + "/api/login", body: `{"username":"gone","password":"secret"}`, status: 403},
		{method: "GET", target: accounts + "/api/me", status: 200},
		{method: "GET", target: accounts + "/api/users/me", status: 200},
		{method: "GET", target: accounts + "/api/profile", status: 200},
		{method: "POST", target: accounts + "/api/oauth2/introspect", body: "token={token}", header: form, status: 200},
		{method: "POST", target: accounts + "/api/v2/oauth2/introspect", body: "token={token}&" + credentials, header: form, status: 200},
		{method: "POST", target: accounts + "/api/v2/oauth2/revoke", body: "token={token}&" + credentials, header: form, status: 200},
		{method: "GET", target: accounts + "/api/organizations/org-root", status: 200},
		{method: "GET", target: accounts + "/api/organizations/org-root/environments", status: 200},
		{method: "GET", target: accounts + "/api/organizations/org-root/environments/env-prod", status: 200},
		{method: "GET", target: accounts + "/api/organizations/org-root/environments/env-none", status: 404},

		{method: "GET", target: "/_osemu/requests", status: 200},
		{method: "DELETE", target: "/_osemu/requests", status: 204},
		{method: "GET", target: "/_osemu/faults", status: 200},
		{method: "PUT", target: "/_osemu/faults", body: `{"latency":"1ns","fault":{"cut":0}}`, status: 200},
		{method: "POST", target: "/_osemu/clock", body: `{"advance":"1s"}`, status: 200},
		{method: "PATCH", target: "/_osemu/clients/app-two", body: `{"scopes":["read:store"]}`, status: 200},
		{method: "PATCH", target: "/_osemu/clients/app-two", body: `{"secret":"new"}`, status: 200},
		{method: "GET", target: "/_osemu/clients", status: 200},
		{method: "DELETE", target: "/_osemu/clients/app-two/tokens", status: 204},
		{method: "GET", target: "/_osemu/world", status: 200},
		{method: "GET", target: "/_osemu/openapi.yaml", status: 200},
		{method: "GET", target: "/_osemu/world.schema.json", status: 200},
		{method: "GET", target: "/_osemu/livez", status: 200},
		{method: "POST", target: "/_osemu/reset", status: 204},
	}
}

// fresh returns app-one of a new emulator: the built-in world with a disabled user and
// a client without a creator.
func (s sample) fresh(t *testing.T) client {
	w := emulator.BuiltInWorld()
	w.Users = append(w.Users, emulator.User{ID: "user-gone", Username: "gone", Password: "secret", Organization: "org-root", Disabled: true})
	w.Clients = append(w.Clients, emulator.Client{ID: "app-lone", Secret: "secret-lone", Organization: "org-root"})
	o := emulator.Options{World: w, Choose: map[string]string{}}
	for _, c := range s.choose {
		name, value, _ := strings.Cut(c, "=")
		o.Choose[name] = value
	}
	return as(t, start(t, o), "us", "one")
}

// request returns the request for a client, and starts the operation that it confirms.
func (s sample) request(c client) *http.Request {
	id := ""
	if s.confirmable {
		id = c.must(http.StatusNoContent, http.MethodHead, keyOne+"?confirmable=true", "").header.Get("X-Confirmation-Id")
	}
	filled := strings.NewReplacer("{token}", c.token, "{id}", id)
	r := httptest.NewRequest(s.method, filled.Replace(s.target), strings.NewReader(filled.Replace(s.body)))
	r.Host = c.host
	r.Header.Set("Authorization", "Bearer "+c.token)
	if strings.Contains(s.target, "/oauth2/") && !strings.HasSuffix(s.target, "/api/oauth2/introspect") || strings.HasSuffix(s.target, "/login") {
		r.Header.Del("Authorization") // these authenticate with their body
	}
	if s.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(s.header); i += 2 {
		r.Header.Set(s.header[i], s.header[i+1])
	}
	return r
}

// spoiled sends the request with a change that causes this status.
func (s sample) spoiled(t *testing.T, status int) response {
	orphan := strings.HasSuffix(s.target, "/users/me") || strings.HasSuffix(s.target, "/profile")
	oneEnvironment := strings.Contains(s.target, east+root+"/environments")
	if status == http.StatusNotFound && !orphan && !oneEnvironment {
		s.choose = append(slices.Clone(s.choose), "foreign-organization=404")
	}
	c := s.fresh(t)
	r := s.request(c)
	switch status {
	case http.StatusBadRequest:
		s.garble(r)
	case http.StatusUnauthorized:
		r.Header.Del("Authorization")
		wrong := strings.NewReplacer("secret-one", "wrong", "admin-password", "wrong").Replace(s.body)
		setBody(r, wrong)
	case http.StatusForbidden:
		r.Header.Set("Authorization", "Bearer "+as(t, c.e, "us", "other").token)
	case http.StatusNotFound:
		switch {
		case orphan:
			lone := c.form(accounts+"/api/v2/oauth2/token", "grant_type=client_credentials&client_id=app-lone&client_secret=secret-lone")
			r.Header.Set("Authorization", "Bearer "+minted(t, lone))
		case oneEnvironment:
			r.RequestURI = strings.Replace(r.RequestURI, "env-prod", "env-none", 1)
		case strings.HasPrefix(s.target, "/_osemu/"):
			r.RequestURI += "-none"
		default:
			r.Header.Set("Authorization", "Bearer "+as(t, c.e, "us", "other").token)
		}
	case http.StatusRequestEntityTooLarge:
		r.ContentLength = 1 << 30
	case http.StatusUnsupportedMediaType:
		r.Header.Set("Content-Encoding", "br")
	case http.StatusTooManyRequests, http.StatusInternalServerError:
		c.must(http.StatusOK, http.MethodPut, "/_osemu/faults", `{"`+strconv.Itoa(status)+`":1}`)
	}
	return c.send(r)
}

// garble makes a request malformed: by a second token, or otherwise by an invalid body.
func (s sample) garble(r *http.Request) {
	if r.Header.Get("Authorization") != "" && !strings.HasPrefix(s.target, "/_osemu/") {
		r.Header.Add("Authorization", "Bearer 2")
		return
	}
	setBody(r, "{%zz")
}

func setBody(r *http.Request, text string) {
	r.ContentLength = int64(len(text))
	r.Body = httptest.NewRequest(r.Method, "/", strings.NewReader(text)).Body
}

// The emulator serves every operation of the document, and returns every answer that it
// lists: success and error, each in the described shape.
func TestEveryAnswerInTheDocumentIsGiven(t *testing.T) {
	d := contract(t)
	given := map[string]bool{}
	spoiled := map[string]bool{}
	for _, s := range everyAnswer() {
		c := s.fresh(t)
		r := s.request(c)
		m := d.find(r)
		if m == nil {
			t.Errorf("%s %s: not in the document", s.method, s.target)
			continue
		}
		if s.status < 300 {
			if err := openapi3filter.ValidateRequest(t.Context(), d.input(s.request(c), m)); err != nil {
				t.Errorf("%s %s: the document does not allow it: %v", s.method, s.target, err)
			}
		}
		if got := c.send(r); got.status != s.status {
			t.Errorf("%s %s: the answer is %d %.200s, want %d", s.method, s.target, got.status, got.body, s.status)
			continue
		}
		given[m.key(s.status)] = true
		if s.status < 300 && !spoiled[m.operation.OperationID] {
			spoiled[m.operation.OperationID] = true
			for _, status := range []int{400, 401, 403, 404, 413, 415, 429, 500} {
				given[m.key(s.spoiled(t, status).status)] = true
			}
		}
	}
	for _, answer := range d.answers() {
		if !given[answer] {
			t.Errorf("no request received %s", answer)
		}
	}
}

// The scopes in the document are those that the emulator requires.
func TestScopesAreThoseOfTheDocument(t *testing.T) {
	d := contract(t)
	scopes := []string{"read:store", "manage:store", "manage:store_data", "read:store_metrics"}
	seen := map[string]bool{}
	for _, s := range everyAnswer() {
		c := s.fresh(t)
		m := d.find(s.request(c))
		if seen[m.operation.OperationID] || m.operation.Security == nil || len(*m.operation.Security) == 0 {
			continue
		}
		seen[m.operation.OperationID] = true
		for _, scope := range scopes {
			enough := slices.ContainsFunc(*m.operation.Security, func(r openapi3.SecurityRequirement) bool {
				wanted, byToken := r["token"]
				return !byToken || len(wanted) == 0 || slices.Contains(wanted, scope)
			})
			r := s.request(c)
			c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-one", `{"scopes":["`+scope+`"]}`)
			if got := c.send(r); (got.status != http.StatusForbidden) != enough {
				t.Errorf("%s with %s: the answer is %d; in the document it is enough: %t", m.operation.OperationID, scope, got.status, enough)
			}
			c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-one", `{"scopes":["manage:store_data"]}`)
		}
	}
}

// A body that the document does not allow is refused with 4xx.
func TestBodiesThatTheDocumentRefusesAreRefused(t *testing.T) {
	d := contract(t)
	form := []string{"Content-Type", formType}
	pending := keyOne + "/confirmations/{id}"
	for _, s := range []sample{
		{method: "PUT", target: demo, body: `{"defaultTtlSeconds":"60"}`},
		{method: "PUT", target: demo, body: `{"encrypted":"false"}`},
		{method: "PATCH", target: demo, body: `{"isFixedTtl":1}`},
		{method: "PUT", target: keyOne, body: `{}`},
		{method: "PUT", target: keyOne, body: `{"stringValue":"a","numberValue":1}`},
		{method: "PUT", target: keyOne, body: `{"stringValue":1}`},
		{method: "PUT", target: keyOne, body: `{"numberValue":"1"}`},
		{method: "PUT", target: keyOne, body: `{"stringValue":"a","valueType":"TEXT"}`},
		{method: "PUT", target: keyOne, body: `{"stringValue":"a","index":-1}`},
		{method: "PUT", target: keyOne, body: `{"stringValue":"a","metadata":{"a":1}}`},
		{method: "POST", target: keyOne, body: `["a"]`},
		{method: "POST", target: demoKeys + "/n", body: `{"numberValue":"1"}`, header: []string{"Content-Type", numbers}},
		{method: "POST", target: demoKeys + "/n", body: `{"operation":"divide","numberValue":1}`, header: []string{"Content-Type", numbers}},
		{method: "POST", target: demoKeys + "/n", body: `{"operation":"add"}`, header: []string{"Content-Type", numbers}},
		{method: "PATCH", target: pending, body: `{"ttl":0}`, confirmable: true},
		{method: "PATCH", target: pending, body: `{"ttl":"60"}`, confirmable: true},
		{method: "PATCH", target: pending, body: `{}`, confirmable: true},
		{method: "POST", target: accounts + "/api/v2/oauth2/token", body: credentials, header: form},
		{method: "POST", target: accounts + "/api/v2/oauth2/token", body: "grant_type=magic&" + credentials, header: form},
		{method: "POST", target: accounts + "/login", body: `{"username":"admin"}`},
		{method: "POST", target: accounts + "/api/oauth2/introspect", body: "token_type_hint=x", header: form},
		{method: "PUT", target: "/_osemu/faults", body: `{"429":2}`},
		{method: "PUT", target: "/_osemu/faults", body: `{"fire":1}`},
		{method: "PUT", target: "/_osemu/faults", body: `{"on":["moon"]}`},
		{method: "POST", target: "/_osemu/clock", body: `{"advance":720}`},
		{method: "PATCH", target: "/_osemu/clients/app-two", body: `{"scopes":["fly"]}`},
		{method: "PATCH", target: "/_osemu/clients/app-two", body: `{}`},
		{method: "PATCH", target: "/_osemu/clients/app-two", body: `{"secret":""}`},
		{method: "PATCH", target: "/_osemu/clients/app-two", body: `{"scopes":["read:store"],"secret":""}`},
	} {
		c := s.fresh(t)
		r := s.request(c)
		if err := openapi3filter.ValidateRequest(t.Context(), d.input(s.request(c), d.find(r))); err == nil {
			t.Errorf("%s %s %s: the document allows it", s.method, s.target, s.body)
		}
		if got := c.send(r); got.status < 400 || got.status > 499 {
			t.Errorf("%s %s %s: the answer is %d %.200s", s.method, s.target, s.body, got.status, got.body)
		}
	}
}

// The document is served unchanged.
func TestDocumentsAreServed(t *testing.T) {
	c := one(t)
	for name, mediaType := range map[string]string{"openapi.yaml": "application/yaml", "world.schema.json": "application/schema+json"} {
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got := c.get("/_osemu/" + name)
		if got.status != http.StatusOK || got.body != string(want) || got.header.Get("Content-Type") != mediaType {
			t.Errorf("%s: the answer is %d, %d bytes of %s", name, got.status, len(got.body), got.header.Get("Content-Type"))
		}
	}
}
