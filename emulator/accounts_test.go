package emulator_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/emulator"
)

func TestTokenLivesAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where a slow machine takes no second
		c := one(t)
		c.advance(time.Hour - time.Second)
		c.must(http.StatusOK, http.MethodGet, demo, "")
		c.advance(time.Second)
		c.must(http.StatusUnauthorized, http.MethodGet, demo, "")
	})
}

func TestTokenEndpointsTakeTheDocumentedForms(t *testing.T) {
	e := start(t, emulator.Options{})
	c := client{t: t, e: e}
	const form = "grant_type=client_credentials&client_id=app-one&client_secret=secret-one"
	const object = `{"client_id":"app-one","client_secret":"secret-one","grant_type":"client_credentials"}`
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("app-one:secret-one"))
	formType := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for name, row := range map[string]struct {
		path, body string
		headers    []string
		status     int
	}{
		"old, form":              {"/accounts/oauth2/token", form, formType, 200},
		"old, JSON":              {"/accounts/oauth2/token", object, nil, 400},
		"first, JSON":            {"/accounts/api/oauth2/token", object, nil, 200},
		"second, form":           {"/accounts/api/v2/oauth2/token", form, formType, 200},
		"second, JSON":           {"/accounts/api/v2/oauth2/token", object, nil, 200},
		"second, Basic":          {"/accounts/api/v2/oauth2/token", "grant_type=client_credentials", append(formType, "Authorization", basic), 200},
		"Basic and form":         {"/accounts/api/v2/oauth2/token", "grant_type=client_credentials&client_id=app-two&client_secret=wrong", append(formType, "Authorization", basic), 200},
		"name in other case too": {"/accounts/api/v2/oauth2/token", strings.Replace(object, "{", `{"CLIENT_ID":"app-two",`, 1), nil, 200},
		"wrong secret":           {"/accounts/api/v2/oauth2/token", strings.Replace(form, "secret-one", "secret-two", 1), formType, 401},
		"unknown client":         {"/accounts/api/v2/oauth2/token", strings.Replace(form, "app-one", "app-none", 1), formType, 401},
		"no client":              {"/accounts/api/v2/oauth2/token", "grant_type=client_credentials", formType, 401},
		"no grant type":          {"/accounts/api/v2/oauth2/token", "client_id=app-one&client_secret=secret-one", formType, 400},
		"grant type unknown":     {"/accounts/api/v2/oauth2/token", strings.Replace(form, "client_credentials", "magic", 1), formType, 400},
		"grant type not allowed": {"/accounts/api/v2/oauth2/token", strings.Replace(form, "client_credentials", "password", 1) + "&username=admin&password=admin-password", formType, 400},
		"parameter twice":        {"/accounts/api/v2/oauth2/token", form + "&client_id=app-two", formType, 400},
		"malformed form":         {"/accounts/api/v2/oauth2/token", "%zz", formType, 400},
		"malformed JSON":         {"/accounts/api/v2/oauth2/token", "{", nil, 400},
		"unknown content type":   {"/accounts/api/v2/oauth2/token", form, []string{"Content-Type", "text/plain"}, 415},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.must(row.status, http.MethodPost, "/us"+row.path, row.body, row.headers...)
			answer := decode[map[string]any](t, got)
			if row.status != 200 {
				if answer["error"] == "" || strings.Contains(got.body, "secret-") {
					t.Errorf("the answer is %s", got.body)
				}
				return
			}
			if answer["expires_in"] != 3600.0 || answer["token_type"] != "bearer" || len(minted(t, got)) != 36 {
				t.Errorf("the answer is %s", got.body)
			}
			holder := client{t: t, e: e, token: minted(t, got)}
			me := decode[me](t, holder.get("/us/accounts/api/me"))
			if me.Client == nil || me.Client.ClientID != "app-one" {
				t.Errorf("the token is of %+v", me.Client)
			}
		})
	}
}

type me struct {
	Client *struct {
		ClientID     string   `json:"client_id"`
		Name         string   `json:"name"`
		OrgID        string   `json:"org_id"`
		RedirectURIs []string `json:"redirect_uris"`
		GrantTypes   []string `json:"grant_types"`
	} `json:"client"`
	User *struct {
		ID                    string
		Username              string
		Organization          organization
		MemberOfOrganizations []organization
	} `json:"user"`
}

type organization struct {
	ID, Name              string
	IsRoot                bool
	ParentOrganizationIDs []string
	SubOrganizationIDs    []string
}

func TestMeReturnsClientUserAndOrganizations(t *testing.T) {
	e := start(t, emulator.Options{})
	root := organization{"org-root", "Acme", true, []string{}, []string{"org-sub"}}
	sub := organization{"org-sub", "Acme Subsidiary", false, []string{"org-root"}, []string{}}
	other := organization{"org-other", "Other", true, []string{}, []string{}}
	for name, row := range map[string]struct {
		home   string
		member []organization
	}{
		"one": {"org-root", []organization{root, sub}}, "two": {"org-root", []organization{root, sub}},
		"read": {"org-root", []organization{root, sub}}, "sub": {"org-sub", []organization{sub}}, "other": {"org-other", []organization{other}},
	} {
		got := decode[me](t, as(t, e, "us", name).get("/us/accounts/api/me"))
		if got.Client == nil || got.User == nil {
			t.Fatalf("app-%s: the answer is %+v", name, got)
		}
		if got.Client.ClientID != "app-"+name || got.Client.OrgID != row.home || len(got.Client.GrantTypes) != 1 || got.Client.RedirectURIs == nil {
			t.Errorf("app-%s: client is %+v", name, *got.Client)
		}
		if got.User.ID != "user-admin" || got.User.Organization.ID != row.home {
			t.Errorf("app-%s: user is %s of %s", name, got.User.ID, got.User.Organization.ID)
		}
		if diff := cmp.Diff(row.member, got.User.MemberOfOrganizations); diff != "" {
			t.Errorf("app-%s: %s", name, diff)
		}
	}
}

func login(t *testing.T, e *emulator.Emulator) client {
	t.Helper()
	c := client{t: t, e: e}
	got := c.must(http.StatusOK, http.MethodPost, "/us/accounts/login", `{"username":"admin","password":"admin-password"}`)
	c.token = minted(t, got)
	return c
}

func TestLoginActsForTheUser(t *testing.T) {
	e := start(t, emulator.Options{})
	c := login(t, e)
	got := decode[me](t, c.get("/us/accounts/api/me"))
	if got.Client != nil || got.User == nil || got.User.Username != "admin" {
		t.Errorf("the answer is %+v", got)
	}
	c.must(http.StatusOK, http.MethodGet, demoKeys, "")
	c.must(http.StatusOK, http.MethodGet, "/us/api/v1/organizations/org-sub"+anHour, "")
	for body, status := range map[string]int{
		`{"username":"admin","password":"wrong"}`: 401, `{"username":"nobody","password":"admin-password"}`: 401,
		`{"username":"admin"}`: 400, `{}`: 400, `[]`: 400,
	} {
		c.must(status, http.MethodPost, "/us/accounts/api/login", body)
	}
	chosen := start(t, emulator.Options{Choose: map[string]string{"login-client": "present"}})
	if got := decode[me](t, login(t, chosen).get("/us/accounts/api/me")); got.Client == nil {
		t.Error("login-client=present: me has no client")
	}
}

func TestUsersMeAndProfileReturnAFlatUser(t *testing.T) {
	c := one(t)
	if got := decode[map[string]any](t, c.get("/us/accounts/api/users/me")); got["id"] != "user-admin" || got["organization"] == nil {
		t.Errorf("users/me: the answer is %v", got)
	}
	if got := decode[map[string]any](t, c.get("/us/accounts/api/profile")); got["username"] != "admin" || got["organizationId"] != "org-root" {
		t.Errorf("profile: the answer is %v", got)
	}
}

func TestEnvironmentsAreInData(t *testing.T) {
	c := one(t)
	type environment struct {
		ID, Name, OrganizationID, Type string
		IsProduction                   bool
	}
	type list struct {
		Data  []environment
		Total int
	}
	production := environment{"env-prod", "Production", "org-root", "production", true}
	sandbox := environment{"env-sandbox", "Sandbox", "org-root", "sandbox", false}
	for query, want := range map[string]list{
		"":                    {[]environment{production, sandbox}, 2},
		"?name=Sandbox":       {[]environment{sandbox}, 1},
		"?isProduction=true":  {[]environment{production}, 1},
		"?type=sandbox":       {[]environment{sandbox}, 1},
		"?search=PROD":        {[]environment{production}, 1},
		"?limit=1":            {[]environment{production}, 2},
		"?offset=1":           {[]environment{sandbox}, 2},
		"?offset=9&limit=900": {[]environment{}, 2},
	} {
		got := decode[list](t, c.get("/us/accounts/api/organizations/org-root/environments"+query))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", query, diff)
		}
	}
	c.must(http.StatusBadRequest, http.MethodGet, "/us/accounts/api/organizations/org-root/environments?limit=x", "")
	one := decode[environment](t, c.get("/us/accounts/api/organizations/org-root/environments/env-sandbox"))
	if one.ID != "env-sandbox" || one.IsProduction {
		t.Errorf("one environment: the answer is %+v", one)
	}
	c.must(http.StatusNotFound, http.MethodGet, "/us/accounts/api/organizations/org-root/environments/env-sub", "")
	c.must(http.StatusForbidden, http.MethodGet, "/us/accounts/api/organizations/org-other/environments/env-other", "")
	if got := decode[organization](t, c.get("/us/accounts/api/organizations/org-sub")); got.ID != "org-sub" || got.IsRoot {
		t.Errorf("organization: the answer is %+v", got)
	}
}

// introspected is the answer of introspection.
type introspected struct {
	Active   bool
	ClientID *string `json:"client_id"`
	Username string
	Issued   int64 `json:"iat"`
	Expires  int64 `json:"exp"`
}

func TestIntrospectionDescribesAToken(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e, "us", "one")
	other := as(t, e, "us", "other")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("app-two:secret-two"))
	v2 := func(c client, token string) introspected {
		return decode[introspected](t, c.form("/us/accounts/api/v2/oauth2/introspect", "token="+token, "Authorization", basic))
	}
	if got := v2(c, c.token); !got.Active || got.ClientID == nil || *got.ClientID != "app-one" || got.Expires-got.Issued != 3600 {
		t.Errorf("v2: the answer is %+v", got)
	}
	if got := v2(c, other.token); !got.Active {
		t.Errorf("v2 of another organization: the answer is %+v", got)
	}
	if got := v2(c, login(t, e).token); !got.Active || got.ClientID != nil || got.Username != "admin" {
		t.Errorf("v2 of a user: the answer is %+v", got)
	}
	if got := v2(c, as(t, e, "eu", "one").token); got != (introspected{}) {
		t.Errorf("v2 of another plane: the answer is %+v", got)
	}
	if got := v2(c, "nonsense"); got != (introspected{}) {
		t.Errorf("v2 of an unknown token: the answer is %+v", got)
	}
	v1 := decode[introspected](t, c.do(http.MethodPost, "/us/accounts/api/oauth2/introspect", `{"token":"`+other.token+`"}`))
	if !v1.Active || v1.Expires-v1.Issued != 3600_000 {
		t.Errorf("v1: the answer is %+v", v1)
	}
	c.want(c.form("/us/accounts/api/v2/oauth2/introspect", "token="+c.token), http.StatusUnauthorized)
	c.want(c.form("/us/accounts/api/v2/oauth2/introspect", "", "Authorization", basic), http.StatusBadRequest)

	chosen := one(t, "introspect-foreign=deny", "introspect-time=milliseconds")
	if got := v2(chosen, as(t, chosen.e, "us", "other").token); got.Active {
		t.Errorf("introspect-foreign=deny: the answer is %+v", got)
	}
	if got := v2(chosen, chosen.token); got.Expires-got.Issued != 3600_000 {
		t.Errorf("introspect-time=milliseconds: the answer is %+v", got)
	}
}

func TestRevokedTokenIsNoGoodAtOnce(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e, "us", "one")
	two := "Basic " + base64.StdEncoding.EncodeToString([]byte("app-two:secret-two"))
	own := "Basic " + base64.StdEncoding.EncodeToString([]byte("app-one:secret-one"))
	c.want(c.form("/us/accounts/api/v2/oauth2/revoke", "token="+c.token, "Authorization", two), http.StatusBadRequest)
	c.want(c.form("/eu/accounts/api/v2/oauth2/revoke", "token="+c.token, "Authorization", own), http.StatusOK)
	c.must(http.StatusOK, http.MethodGet, demo, "")
	c.want(c.form("/us/accounts/api/v2/oauth2/revoke", "token="+c.token, "Authorization", own), http.StatusOK)
	c.must(http.StatusUnauthorized, http.MethodGet, demo, "")
	c.want(c.form("/us/accounts/api/v2/oauth2/revoke", "token=unknown", "Authorization", own), http.StatusOK)

	bearer := as(t, e, "us", "one")
	c.want(bearer.form("/us/accounts/api/v2/oauth2/revoke", "token="+bearer.token), http.StatusOK)
	bearer.must(http.StatusUnauthorized, http.MethodGet, demo, "")
}

func TestUsersTokensRefresh(t *testing.T) {
	w := emulator.BuiltInWorld()
	w.Clients[0].GrantTypes = []string{"password", "refresh_token"}
	e := start(t, emulator.Options{World: w})
	c := client{t: t, e: e}
	app := "client_id=app-one&client_secret=secret-one&"
	first := decode[map[string]any](t, c.form("/us/accounts/api/v2/oauth2/token", app+"grant_type=password&username=admin&password=admin-password"))
	refresh, _ := first["refresh_token"].(string)
	if refresh == "" {
		t.Fatalf("the answer is %v", first)
	}
	c.advance(89 * day)
	second := decode[map[string]any](t, c.form("/us/accounts/api/v2/oauth2/token", app+"grant_type=refresh_token&refresh_token="+refresh))
	c.token, _ = second["access_token"].(string)
	if got := decode[me](t, c.get("/us/accounts/api/me")); got.Client == nil || got.User == nil || got.Client.ClientID != "app-one" || got.User.Username != "admin" {
		t.Errorf("me: the answer is %+v", got)
	}
	c.advance(2 * day)
	c.want(c.form("/us/accounts/api/v2/oauth2/token", app+"grant_type=refresh_token&refresh_token="+refresh), http.StatusBadRequest)
	c.want(c.form("/us/accounts/api/v2/oauth2/token", app+"grant_type=password&username=admin&password=wrong"), http.StatusBadRequest)
}

func TestAccountsLimitIsByClientAndMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, emulator.Options{AccountsRate: 5})
		one, two := as(t, e, "us", "one"), as(t, e, "us", "two") // one request of each
		for i := range 4 {
			got := one.must(http.StatusOK, http.MethodGet, "/us/accounts/api/me", "")
			want := []string{"5", []string{"3", "2", "1", "0"}[i], "946684860"} // synctest starts at 2000-01-01
			if have := []string{got.header.Get("X-RateLimit-Limit"), got.header.Get("X-RateLimit-Remaining"), got.header.Get("X-RateLimit-Reset")}; !cmp.Equal(have, want) {
				t.Errorf("request %d: the answer is %v, want %v", i+2, have, want)
			}
		}
		got := one.must(http.StatusTooManyRequests, http.MethodGet, "/us/accounts/api/me", "")
		if got.header.Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("429: remaining is %q", got.header.Get("X-RateLimit-Remaining"))
		}
		one.want(client{t: t, e: e}.form("/us/accounts/api/v2/oauth2/token", "client_id=app-one"), http.StatusTooManyRequests)
		two.must(http.StatusOK, http.MethodGet, "/us/accounts/api/me", "")
		one.advance(time.Minute)
		one.must(http.StatusOK, http.MethodGet, "/us/accounts/api/me", "")
	})
	free := start(t, emulator.Options{AccountsRate: -1})
	c := as(t, free, "us", "one")
	for range 600 {
		if got := c.must(http.StatusOK, http.MethodGet, "/us/accounts/api/me", ""); got.header.Get("X-RateLimit-Limit") != "" {
			t.Fatal("the answer has a header of the limit without a limit")
		}
	}
}

func TestAccountsLimitCanBeByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, emulator.Options{AccountsRate: 4, Choose: map[string]string{"accounts-rate-by": "ip"}})
		one, two := as(t, e, "us", "one"), as(t, e, "us", "two") // one request of each
		for i, c := range []client{one, two} {
			got := c.must(http.StatusOK, http.MethodGet, "/us/accounts/api/me", "").header.Get("X-RateLimit-Remaining")
			if want := []string{"1", "0"}[i]; got != want {
				t.Errorf("request %d: %s remain, want %s", i+3, got, want)
			}
		}
		two.must(http.StatusTooManyRequests, http.MethodGet, "/us/accounts/api/me", "")
	})
}
