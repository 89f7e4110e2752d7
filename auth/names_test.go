package auth_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"osgate/auth"
)

// saying is a control plane that answers every request with body.
type saying string

func (body saying) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body))),
	}, nil
}

func TestNamesAreThoseOfTheControlPlane(t *testing.T) {
	names := auth.NewNames()
	lookup := func(body string) error {
		a := auth.Anypoint{Endpoint: endpoint, Transport: saying(body), Names: names}
		_, err := a.Lookup(t.Context(), "us", auth.NewToken("token"))
		return err
	}
	if err := lookup(`{"client":{"client_id":"app","name":"Orders API","org_id":"root"},` + user + `}`); err != nil {
		t.Fatal(err)
	}
	list := auth.Anypoint{
		Endpoint: endpoint, Names: names,
		Transport: saying(`{"data":[{"id":"env-1","name":"Production","type":"production"}],"total":1}`),
	}
	if _, err := list.ListEnvironments(t.Context(), "us", "root", auth.NewToken("token")); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"app": "Orders API", "root": "Acme", "team": "Team", "guest": "Guest", "env-1": "Production", "user:user-1": "ab",
		"sub-1": "", "": "",
	} {
		if got := names.Of(id); got != want {
			t.Errorf("the name of %q is %q, want %q", id, got, want)
		}
	}
	if err := lookup(`{"client":{"client_id":"app","name":"Orders API 2"}}`); err != nil || names.Of("app") != "Orders API 2" {
		t.Errorf("after a new name: %q, %v", names.Of("app"), err)
	}
}

// TestNameDecidesNothing: an identity does not depend on its names.
func TestNameDecidesNothing(t *testing.T) {
	names := auth.NewNames()
	for _, name := range []string{`7`, `null`, `{"a":[]}`, `""`, `"` + strings.Repeat("n", 129) + `"`, `"app"`} {
		a := auth.Anypoint{
			Endpoint: endpoint, Names: names,
			Transport: saying(`{"client":{"client_id":"app","name":` + name + `}}`),
		}
		got, err := a.Lookup(t.Context(), "us", auth.NewToken("token"))
		if err != nil || got.Principal.Client != "app" {
			t.Errorf("name %s: %+v, %v", name, got.Principal, err)
		}
		if shown := names.Of("app"); shown != "" {
			t.Errorf("name %s: shown as %q", name, shown)
		}
	}
}

// TestNamesAreBounded by the names that one answer may add, and by their number.
func TestNamesAreBounded(t *testing.T) {
	names := auth.NewNames()
	var members []string
	for i := range 1_100 {
		members = append(members, fmt.Sprintf(`{"id":"org-%d","name":"N"}`, i))
	}
	a := auth.Anypoint{Endpoint: endpoint, Names: names, Transport: saying(
		`{"client":{"client_id":"app","name":"A"},"user":{"id":"u","memberOfOrganizations":[` + strings.Join(members, ",") + `]}}`)}
	if _, err := a.Lookup(t.Context(), "us", auth.NewToken("token")); err != nil {
		t.Fatal(err)
	}
	if names.Of("org-0") != "N" || names.Of("org-1050") != "" {
		t.Errorf("of 1,100 names the first is %q, the 1,050th %q; want only the first thousand", names.Of("org-0"), names.Of("org-1050"))
	}
	for i := range 9_000 {
		a.Transport = saying(fmt.Sprintf(`{"client":{"client_id":"app-%d","name":"A"}}`, i))
		if _, err := a.Lookup(t.Context(), "us", auth.NewToken("token")); err != nil {
			t.Fatal(err)
		}
	}
	if names.Of("org-0") != "" || names.Of("app-8999") != "A" {
		t.Errorf("after 9,000 other names: %q is still known, the last one is %q", names.Of("org-0"), names.Of("app-8999"))
	}
}
