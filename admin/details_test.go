package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"osgate/admin"
)

// known is a gateway that knows app-one, the store orders and a request.
type known struct{}

type found struct{ Name, Organization string }

func (f found) IDs() []string { return []string{f.Name, f.Organization} }

func (known) Client(_ time.Time, id string) (any, bool) { return found{id, "org"}, id == "app-one" }

func (known) Store(_ time.Time, at admin.Scope) (any, bool) {
	return found{at.Store, at.Organization}, at == admin.Scope{Plane: "us", Region: "us-east-1", Organization: "org", Environment: "env", Store: "orders"}
}

func (known) Request(id string) (any, bool) { return found{id, ""}, id == "request-1" }

func (known) Search(text string) any { return found{text, "org"} }

func (known) Policy(time.Time) any { return map[string]int{"all": 3} }

func (known) Names(ids []string) map[string]string {
	names := map[string]string{}
	for _, id := range ids {
		if id == "org" {
			names[id] = "Acme"
		}
	}
	return names
}

func TestDetailsHaveTheNamesOfTheirIDs(t *testing.T) {
	h := newHandler(t, options())
	for path, want := range map[string]string{
		"/api/client?id=app-one": `{"detail":{"Name":"app-one","Organization":"org"},"names":{"org":"Acme"}}`,
		"/api/store?plane=us&region=us-east-1&organization=org&environment=env&store=orders": `{"detail":{"Name":"orders","Organization":"org"},"names":{"org":"Acme"}}`,
		"/api/request?id=request-1": `{"detail":{"Name":"request-1","Organization":""}}`,
		"/api/search?q=x%20y":       `{"detail":{"Name":"x y","Organization":"org"},"names":{"org":"Acme"}}`,
		"/api/policy":               `{"all":3}`,
	} {
		answer := send(t, h, http.MethodGet, path, "")
		if got := text(t, answer); answer.StatusCode != http.StatusOK || got != want {
			t.Errorf("%s answers %d %s, want %s", path, answer.StatusCode, got, want)
		}
	}
	for _, path := range []string{"/api/client?id=other", "/api/request?id=other", "/api/store?plane=us&region=us-east-1&organization=org&environment=env&store=other"} {
		if p := readProblem(t, send(t, h, http.MethodGet, path, ""), http.StatusNotFound); p.Type != "urn:osgate:admin:unknown" {
			t.Errorf("%s: %+v", path, p)
		}
	}
	for path, field := range map[string]string{
		"/api/client": "id", "/api/client?id=": "id", "/api/client?id=a&id=b": "id", "/api/client?id=app-one&x=1": "x", "/api/store?plane=us": "region",
		"/api/request?id=" + strings.Repeat("a", 513): "id", "/api/search": "q",
	} {
		if p := readProblem(t, send(t, h, http.MethodGet, path, ""), http.StatusBadRequest); p.Field != field {
			t.Errorf("%s: %+v, want field %s", path, p, field)
		}
	}
}
