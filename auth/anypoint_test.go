package auth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"osgate/auth"
)

// accounts returns a resolver for the plane eu whose Access Management answers GET
// /accounts/api/me with answer.
func accounts(t *testing.T, answer http.HandlerFunc) *auth.Anypoint {
	t.Helper()
	server := httptest.NewServer(answer)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &auth.Anypoint{Transport: transport, Endpoint: func(string) auth.Endpoint { return auth.Endpoint{URL: to, Host: "eu1.anypoint.mulesoft.com"} }}
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

// The user of the documented answer (access-management-api 1.0.45), with its usual
// members.
const user = `"user":{"id":"user-1","createdAt":"2022-01-01T00:00:00.000Z","firstName":"A","lastName":"B","email":"a@example.com","username":"ab",
	"enabled":true,"idprovider_id":"mulesoft","type":"host","organizationId":"root","organizationPreferences":{"root":{"defaultEnvironment":"env"}},
	"organization":{"name":"Acme","id":"root","ownerId":"user-0","clientId":"not-the-client","domain":"acme","isFederated":false,"parentOrganizationIds":[],
		"subOrganizationIds":["sub-1","sub-2"],"tenantOrganizationIds":[],"isRoot":true,"isMaster":true,"entitlements":{"objectStoreRequestUnits":{"base":10,"addOn":0}}},
	"memberOfOrganizations":[{"name":"Acme","id":"root","isRoot":true,"parentId":null,"subOrganizationIds":["sub-1","sub-2"]},
		{"name":"Team","id":"team","isRoot":false,"parentId":"parent","parentName":"Parent","subOrganizationIds":["team-sub"]}],
	"contributorOfOrganizations":[{"name":"Guest","id":"guest","isRoot":false,"subOrganizationIds":["not-mine"]}],
	"properties":{"cs_auth":{"activeOrganizationId":"root"}}}`

func TestMeNamesThePrincipal(t *testing.T) {
	organizations := []string{"root", "team", "guest", "sub-1", "sub-2", "team-sub"}
	trees := []auth.Organization{{Root: "root", Subs: []string{"sub-1", "sub-2"}}, {Subs: []string{"team", "team-sub", "guest", "not-mine"}}}
	for _, tt := range []struct {
		name, body, called string
		want               auth.Principal
	}{
		{
			"client token without a user", `{"client":{"client_id":"app","name":"App","org_id":"root","redirect_uris":[],"grant_types":["client_credentials"]}}`, "app",
			auth.Principal{Client: "app", Organizations: []string{"root"}},
		},
		{
			"client_credentials app with its creator as user", `{"client":{"client_id":"app","name":"App","redirect_uris":[],"grant_types":["client_credentials"]},` + user + `}`, "app",
			auth.Principal{Client: "app", Organizations: organizations, Trees: trees},
		},
		{
			"authorization_code app that acts for its user", `{"client":{"client_id":"app","grant_types":["authorization_code","refresh_token"]},` + user + `}`, "app",
			auth.Principal{Client: "app", User: "user-1", Organizations: organizations, Trees: trees},
		},
		{
			"app of both kinds may act for a user", `{"client":{"client_id":"app","grant_types":["client_credentials","authorization_code"]},` + user + `}`, "app",
			auth.Principal{Client: "app", User: "user-1", Organizations: organizations, Trees: trees},
		},
		{
			"client without grant types may act for a user", `{"client":{"client_id":"app"},"user":{"id":"user-1"}}`, "app",
			auth.Principal{Client: "app", User: "user-1"},
		},
		{"login token without a client", `{` + user + `}`, "user:user-1", auth.Principal{User: "user-1", Organizations: organizations, Trees: trees}},
		{"login token with a null client", `{"client":null,` + user + `}`, "user:user-1", auth.Principal{User: "user-1", Organizations: organizations, Trees: trees}},
		{
			"client without an id leaves the user", `{"client":{"client_id":"","grant_types":["client_credentials"]},"user":{"id":"user-1"}}`, "user:user-1",
			auth.Principal{User: "user-1"},
		},
		{
			"the client's organization comes first, once", `{"client":{"client_id":"app","org_id":"sub-1"},` + user + `}`, "app",
			auth.Principal{Client: "app", User: "user-1", Organizations: []string{"sub-1", "root", "team", "guest", "sub-2", "team-sub"}, Trees: trees},
		},
		{
			"a root organization contributed to is a tree, and its sub-organizations are not one's own",
			`{"user":{"id":"u","contributorOfOrganizations":[{"id":"guest","isRoot":true,"subOrganizationIds":["not-mine"]}]}}`, "user:u",
			auth.Principal{User: "u", Organizations: []string{"guest"}, Trees: []auth.Organization{{Root: "guest", Subs: []string{"not-mine"}}}},
		},
		{
			"the client's own root organization reaches down, though its user only contributes to it",
			`{"client":{"client_id":"app","org_id":"guest"},"user":{"id":"u","contributorOfOrganizations":[{"id":"guest","isRoot":true,"subOrganizationIds":["sub","sub"]},
				{"id":"other","isRoot":true,"subOrganizationIds":["not-mine"]}]}}`, "app",
			auth.Principal{Client: "app", User: "u", Organizations: []string{"guest", "other", "sub"}, Trees: []auth.Organization{
				{Root: "guest", Subs: []string{"sub"}}, {Root: "other", Subs: []string{"not-mine"}},
			}},
		},
		{
			"a root organization without sub-organizations is a tree", `{"user":{"id":"u","organization":{"id":"root","isRoot":true}}}`, "user:u",
			auth.Principal{User: "u", Organizations: []string{"root"}, Trees: []auth.Organization{{Root: "root"}}},
		},
		{
			"a nested organization is below the root that is named with it", `{"user":{"id":"u","organization":{"id":"root","isRoot":true,"subOrganizationIds":["team"]},
				"memberOfOrganizations":[{"id":"nested","parentId":"team","parentOrganizationIds":["team","root"],"subOrganizationIds":["deep"]}]}}`, "user:u",
			auth.Principal{User: "u", Organizations: []string{"root", "nested", "team", "deep"}, Trees: []auth.Organization{{Root: "root", Subs: []string{"team", "nested", "deep"}}}},
		},
		{
			"the only organization above another is the root", `{"user":{"id":"u","organization":{"id":"team","parentOrganizationIds":["root"]}}}`, "user:u",
			auth.Principal{User: "u", Organizations: []string{"team"}, Trees: []auth.Organization{{Root: "root", Subs: []string{"team"}}}},
		},
		{
			"of several above, none is known to be the root", `{"user":{"id":"u","organization":{"id":"nested","parentOrganizationIds":["root","team"]}}}`, "user:u",
			auth.Principal{User: "u", Organizations: []string{"nested"}, Trees: []auth.Organization{{Subs: []string{"nested"}}}},
		},
		{
			"an app without an organization has none whose root is unknown", `{"client":{"client_id":"app"},"user":{"id":"u","contributorOfOrganizations":[
				{"id":"guest","parentId":"team","subOrganizationIds":["not-mine"]}]}}`, "app",
			auth.Principal{Client: "app", User: "u", Organizations: []string{"guest"}, Trees: []auth.Organization{{Subs: []string{"guest", "not-mine"}}}},
		},
		{
			"nor is the one right above", `{"user":{"id":"u","memberOfOrganizations":[{"id":"nested","parentId":"team"}]}}`, "user:u",
			auth.Principal{User: "u", Organizations: []string{"nested"}, Trees: []auth.Organization{{Subs: []string{"nested"}}}},
		},
		{"a nameless organization is none", `{"user":{"id":"u","organization":{"isRoot":true,"subOrganizationIds":["",""]}}}`, "user:u", auth.Principal{User: "u"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := resolve(t, accounts(t, says(tt.body)), "eu", auth.NewToken("t"))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Plane = "eu"
			if diff := cmp.Diff(tt.want, *got, cmpopts.EquateEmpty()); diff != "" || got.Name() != tt.called {
				t.Errorf("called %q, want %q; principal (-want +got):\n%s", got.Name(), tt.called, diff)
			}
			for _, o := range tt.want.Organizations {
				if !got.Member(o) {
					t.Errorf("no member of %s", o)
				}
			}
			if got.Member("not-mine") || got.Member("") {
				t.Errorf("member of a foreign organization: %v", got.Organizations)
			}
		})
	}
}

func TestMeIsRequestedAtThePlane(t *testing.T) {
	var got *http.Request
	a := accounts(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(r.Context())
		says(`{"client":{"client_id":"app"}}`)(w, r)
	})
	plain := a.Endpoint
	for base, path := range map[string]string{"": "/accounts/api/me", "/": "/accounts/api/me", "/emulator": "/emulator/accounts/api/me"} {
		var plane string
		a.Endpoint = func(lookups string) auth.Endpoint {
			plane = lookups
			end := plain(lookups)
			return auth.Endpoint{URL: end.URL.JoinPath(base), Host: end.Host}
		}
		if _, err := a.Lookup(t.Context(), "eu", auth.NewToken(secret)); err != nil {
			t.Fatal(err)
		}
		if plane != "eu" || got.Method != http.MethodGet || got.RequestURI != path || got.Host != "eu1.anypoint.mulesoft.com" {
			t.Errorf("plane %q received %s %s of %s, want GET %s", plane, got.Method, got.RequestURI, got.Host, path)
		}
		want := http.Header{"Authorization": {"Bearer " + secret}, "Accept": {"application/json"}, "User-Agent": {"osgate"}, "Accept-Encoding": {"gzip"}}
		if diff := cmp.Diff(want, got.Header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
	}
}

// holds reports whether a string reachable from v, also in unexported fields, contains
// text.
func holds(v reflect.Value, text string) bool {
	switch v.Kind() {
	case reflect.String:
		return strings.Contains(v.String(), text)
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && holds(v.Elem(), text)
	case reflect.Struct:
		for _, field := range v.Fields() {
			if holds(field, text) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return strings.Contains(fmt.Sprintf("%s", v), text)
		}
		for i := range v.Len() {
			if holds(v.Index(i), text) {
				return true
			}
		}
	case reflect.Map:
		for m := v.MapRange(); m.Next(); {
			if holds(m.Key(), text) || holds(m.Value(), text) {
				return true
			}
		}
	default:
	}
	return false
}

func TestIdentityHoldsNoToken(t *testing.T) {
	token := auth.NewToken(secret)
	if !holds(reflect.ValueOf(struct{ token auth.Token }{token}), secret) {
		t.Fatal("the search does not find what is there")
	}
	id, err := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = accounts(t, says(`{"client":{"client_id":"app"},`+user+`}`)) }).Identify(t.Context(), "eu", token, "")
	if err != nil || id.Client != "app" {
		t.Fatalf("%+v, %v", id, err)
	}
	if holds(reflect.ValueOf(id), secret) {
		t.Error("the identity holds the token")
	}
	for how, printed := range prints(t, id, verbs...) {
		if exposes(printed, secret) {
			t.Errorf("identity by %s: %s", how, printed)
		}
	}
}

// For any answer of Access Management, the result is a principal with a name or an
// error, and no error quotes the token.
func FuzzMe(f *testing.F) {
	for _, body := range []string{
		`{"client":{"client_id":"a","org_id":"r","grant_types":["client_credentials"]},"user":{"id":"u","organization":{"id":"r","isRoot":true,"subOrganizationIds":["s"]}}}`,
		`{"user":{"id":"u","memberOfOrganizations":[{"id":"o","parentId":"r"}],"contributorOfOrganizations":[{"id":"o"}]}}`, `{}`, `null`, `[]`, `"` + secret + `"`,
		`{"client":{"client_id":7}}`, `{"user":{"organization":{"isRoot":"` + secret + `"}}}`, `{"client"`, ``, secret, `{"user":{"id":"u"}} and more`,
	} {
		f.Add(http.StatusOK, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := auth.Anypoint{Endpoint: endpoint, Transport: transport(func(*http.Request) (*http.Response, error) { return response(status, nil, body), nil })}
		got, err := resolve(t, &a, "us", auth.NewToken(secret))
		if (got == nil) != (err != nil) || err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("%+v, %v", got, err)
		}
		if err == nil && (got.Plane != "us" || got.Name() == "" || got.Name() == "user:" || !json.Valid([]byte(body)) && status != http.StatusOK) {
			t.Errorf("%q makes %+v", body, got)
		}
		if err != nil {
			return
		}
		seen := map[string]bool{"": true}
		for _, o := range got.Organizations {
			if seen[o] {
				t.Errorf("%q twice, or empty, in %q", o, got.Organizations)
			}
			seen[o] = true
		}
	})
}
