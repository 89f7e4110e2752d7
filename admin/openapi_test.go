package admin_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// description is the document of the endpoints for programs.
const description = "../docs/admin-openapi.yaml"

func describedAPI(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromFile(description)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return document
}

// call is a request of a program, and the status of its answer.
type call struct {
	method, path, body, kind, authorization string
	status                                  int
}

// calls has a request for each described operation but /metrics, whose text is that
// of the exporter, and requests that are refused.
func calls() []call {
	const bearer, form, json = "Bearer " + token, "application/x-www-form-urlencoded", "application/json"
	return []call{
		{"GET", "/livez", "", "", "", 200},
		{"GET", "/readyz", "", "", "", 200},
		{"GET", "/config", "", "", bearer, 200},
		{"GET", "/config", "", "", "", 401},
		{"POST", "/cache/purge", "all=true", form, bearer, 200},
		{"POST", "/cache/purge", `{"location":"us/us-east-1","organization":"org-root"}`, json, bearer, 200},
		{"POST", "/cache/purge", `{"al":true}`, json, bearer, 400},
		{"POST", "/reload", "{}", json, bearer, 200},
		{"POST", "/drain", `{"on":true}`, json, bearer, 200},
		{"POST", "/drain", "{}", json, bearer, 400},
		{"POST", "/shadow", `{"on":false}`, json, bearer, 200},
		{"POST", "/shadow", `{"on":false}`, json, "Bearer wrong", 401},
	}
}

func (c call) request() *http.Request {
	r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
	r.Header.Set("Content-Type", c.kind)
	if c.authorization != "" {
		r.Header.Set("Authorization", c.authorization)
	}
	return r
}

// TestAnswersAreThoseOfTheDescription sends the calls to a listener with a token, and
// holds requests and answers to the description.
func TestAnswersAreThoseOfTheDescription(t *testing.T) {
	document := describedAPI(t)
	o := public()
	o.Settings = func() any {
		return []map[string]string{{"name": "OSGATE_LISTEN", "default": ":8080", "value": ":80", "source": "environment", "description": "address"}}
	}
	h := newHandler(t, o)
	sent := map[string]bool{"/metrics": true}
	for _, c := range calls() {
		item := document.Paths.Value(c.path)
		if item == nil || item.GetOperation(c.method) == nil {
			t.Errorf("%s has no %s %s", description, c.method, c.path)
			continue
		}
		sent[c.path] = true
		w := httptest.NewRecorder()
		h.ServeHTTP(w, c.request())
		if w.Code != c.status {
			t.Errorf("%+v: the answer is %d %s", c, w.Code, w.Body)
			continue
		}
		input := &openapi3filter.RequestValidationInput{
			Request: c.request(),
			Route:   &routers.Route{Spec: document, Path: c.path, PathItem: item, Method: c.method, Operation: item.GetOperation(c.method)},
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		}
		if err := openapi3filter.ValidateRequest(t.Context(), input); (err != nil) != (c.status == http.StatusBadRequest) {
			t.Errorf("%+v: the description reports %v", c, err)
		}
		answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: w.Code, Header: w.Header()}
		if err := openapi3filter.ValidateResponse(t.Context(), answer.SetBodyBytes(w.Body.Bytes())); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for path := range document.Paths.Map() {
		if !sent[path] {
			t.Errorf("no call uses %s", path)
		}
	}
}

// TestTheDescriptionHasEveryEndpointForPrograms compares it with the paths of the page
// docs/admin-api.md, but for those of the operator's page.
func TestTheDescriptionHasEveryEndpointForPrograms(t *testing.T) {
	page, err := os.ReadFile("../docs/admin-api.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, found := range regexp.MustCompile("(?m)^\\| `(GET|POST) (/[^`?]*)`").FindAllStringSubmatch(string(page), -1) {
		if found[2] != "/" && !strings.HasPrefix(found[2], "/api/") {
			listed = append(listed, found[1]+" "+found[2])
		}
	}
	var described []string
	for path, item := range describedAPI(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(listed)
	slices.Sort(described)
	if !slices.Equal(listed, described) {
		t.Errorf("docs/admin-api.md lists %v, %s has %v", listed, description, described)
	}
}
