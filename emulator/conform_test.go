package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// description is openapi.yaml, with which every answer in these tests is compared.
type description struct {
	document *openapi3.T
	paths    []described

	mu     sync.Mutex      // guards passed
	passed map[string]bool // valid bodies by operation, status and type
}

// described is one path of the document.
type described struct {
	template string
	prefix   []string            // segments of its server's URL
	choices  map[string][]string // of the variables in prefix
	segments []string
	item     *openapi3.PathItem
}

// match is an operation of the document that a request is for.
type match struct {
	item      *openapi3.PathItem
	operation *openapi3.Operation
	names     map[string]string
}

// readDescription loads the document and validates it, its examples too.
var readDescription = sync.OnceValues(func() (*description, error) {
	document, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, err
	}
	d := &description{document: document, passed: map[string]bool{}}
	for template, item := range document.Paths.Map() {
		servers := item.Servers
		if len(servers) == 0 {
			servers = document.Servers
		}
		p := described{template: template, segments: split(template), item: item, choices: map[string][]string{}}
		for _, s := range split(strings.Trim(servers[0].URL, "/")) {
			if s != "" {
				p.prefix = append(p.prefix, s)
			}
		}
		for name, variable := range servers[0].Variables {
			p.choices["{"+name+"}"] = variable.Enum
		}
		d.paths = append(d.paths, p)
	}
	return d, nil
})

func split(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// contract returns the document.
func contract(t testing.TB) *description {
	t.Helper()
	d, err := readDescription()
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return d
}

// find returns the operation of a request, or nil. Its path is split as received, so
// that %2F stays within a segment.
func (d *description) find(r *http.Request) *match {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	if _, after, absolute := strings.Cut(raw, "://"); absolute && !strings.HasPrefix(raw, "/") {
		_, raw, _ = strings.Cut(after, "/")
	}
	host, _, _ := strings.Cut(strings.ToLower(r.Host), ":")
	segments := split(raw)
	for _, p := range d.paths {
		below, ok := p.under(host, segments)
		if !ok || len(below) != len(p.segments) {
			continue
		}
		names, ok := p.names(below)
		if operation := p.item.GetOperation(r.Method); ok && operation != nil {
			return &match{p.item, operation, names}
		}
	}
	return nil
}

// under returns the segments below the server's prefix. A host of the vendor's has
// none.
func (p described) under(host string, segments []string) ([]string, bool) {
	if strings.HasSuffix(host, ".mulesoft.com") {
		return segments, p.on(host)
	}
	if len(segments) < len(p.prefix) {
		return nil, false
	}
	for i, s := range p.prefix {
		if !slices.Contains(p.choices[s], segments[i]) {
			return nil, false
		}
	}
	return segments[len(p.prefix):], true
}

// on reports whether the vendor serves the path on this host.
func (p described) on(host string) bool {
	for _, operation := range p.item.Operations() {
		switch operation.Tags[0] {
		case "Object Store":
			return strings.HasPrefix(host, "object-store") && !strings.HasPrefix(host, "object-store-stats.")
		case "Stats API":
			return strings.HasPrefix(host, "object-store-stats.")
		case "Access Management":
			return !strings.HasPrefix(host, "object-store")
		}
	}
	return true // the back door is on every host
}

// names returns the decoded parameters of a path, or reports that the path is another
// one.
func (p described) names(segments []string) (map[string]string, bool) {
	names := map[string]string{}
	for i, s := range p.segments {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			decoded, err := url.PathUnescape(segments[i])
			if err != nil || decoded == "" {
				return nil, false
			}
			names[strings.TrimSuffix(name, "}")] = decoded
		} else if s != segments[i] {
			return nil, false
		}
	}
	return names, true
}

// check returns an error if the status of an answer is not listed, or if its content
// type, headers or body differ from the description.
func (d *description) check(r *http.Request, got response) error {
	m := d.find(r)
	if m == nil {
		return d.checkRefusal(got)
	}
	documented := m.operation.Responses.Status(got.status)
	if documented == nil {
		return fmt.Errorf("status %d is not in the document", got.status)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true}
	optional, _ := documented.Value.Extensions["x-body-optional"].(bool)
	switch {
	case got.body != "" && len(documented.Value.Content) == 0:
		return errors.New("the document has no body here")
	case got.body == "" && len(documented.Value.Content) > 0 && !optional:
		return errors.New("the document has a body here")
	case got.body == "" && got.header.Get("Content-Type") != "":
		return errors.New("a content type without content")
	}
	body := m.key(got.status) + "\x00" + got.header.Get("Content-Type") + "\x00" + got.body
	options.ExcludeResponseBody = d.known(body) || got.body == "" || len(got.body) > 1<<20 // a long value is like a short one
	err := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: d.input(r, m), Status: got.status, Header: got.header,
		Body: io.NopCloser(strings.NewReader(got.body)), Options: options,
	})
	if err == nil {
		d.remember(body)
	}
	return err
}

// known reports whether a body was valid before: many answers are alike.
func (d *description) known(body string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed[body]
}

func (d *description) remember(body string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(body) < 4096 && len(d.passed) < 10_000 {
		d.passed[body] = true
	}
}

// checkRefusal returns an error if an answer to a request that is not in the document
// is wrong.
func (d *description) checkRefusal(got response) error {
	refusals := []int{400, 401, 403, 404, 405, 413, 415, 429, 500, 501}
	if !slices.Contains(refusals, got.status) {
		return fmt.Errorf("status %d, but the request is not in the document", got.status)
	}
	if got.body == "" {
		return nil // error-body=empty
	}
	body, err := openapi3filter.JSONBodyDecoder(strings.NewReader(got.body), got.header, nil, nil)
	if err != nil {
		return err
	}
	schemas := d.document.Components.Schemas
	if schemas["Error"].Value.VisitJSON(body, openapi3.EnableJSONSchema2020()) == nil {
		return nil
	}
	return schemas["AccountsError"].Value.VisitJSON(body, openapi3.EnableJSONSchema2020())
}

// input is a request in the validator's form. A HEAD is presented as GET, because the
// validator would not check its answer.
func (d *description) input(r *http.Request, m *match) *openapi3filter.RequestValidationInput {
	shown := r.Clone(r.Context())
	if r.Method == http.MethodHead {
		shown.Method = http.MethodGet
	}
	return &openapi3filter.RequestValidationInput{
		Request: shown, PathParams: m.names,
		Route:   &routers.Route{Spec: d.document, PathItem: m.item, Method: r.Method, Operation: m.operation},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
	}
}

// conform fails the test unless an answer is as the document describes. It does nothing
// in benchmarks.
func conform(t testing.TB, r *http.Request, got response) response {
	t.Helper()
	if _, timed := t.(*testing.B); timed {
		return got
	}
	if err := contract(t).check(r, got); err != nil {
		t.Errorf("%s %.200s: the answer is %d %.300s: it differs from openapi.yaml: %v", r.Method, r.RequestURI, got.status, got.body, err)
	}
	return got
}

// key identifies an answer of an operation.
func (m *match) key(status int) string { return m.operation.OperationID + " " + strconv.Itoa(status) }

// answers returns the key of every answer in the document.
func (d *description) answers() []string {
	var keys []string
	for _, item := range d.document.Paths.Map() {
		for _, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				keys = append(keys, operation.OperationID+" "+status)
			}
		}
	}
	return keys
}
