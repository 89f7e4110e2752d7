package emulator_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"osgate/emulator"
)

// operations are the 21 operations, each with the scopes of which one is enough.
var operations = []struct {
	method, target, body string
	scopes               string
	status               int
}{
	{"GET", east + "/api/v1/organizations/org-root/regions", "", "", 200},
	{"GET", east + prod, "", "read:store manage:store manage:store_data", 200},
	{"GET", demo, "", "read:store manage:store manage:store_data", 200},
	{"PUT", demo, "{}", "manage:store manage:store_data", 200},
	{"PATCH", demo, `{"persistent":true}`, "manage:store manage:store_data", 200},
	{"GET", demo + "/partitions", "", "manage:store_data", 200},
	{"HEAD", demo + "/partitions/DEFAULT_PARTITION", "", "manage:store_data", 204},
	{"GET", demo + "/partitions/DEFAULT_PARTITION", "", "manage:store_data", 200},
	{"GET", demoKeys, "", "manage:store_data", 200},
	{"GET", demoKeys + "/KeyOne", "", "manage:store_data", 200},
	{"HEAD", demoKeys + "/KeyOne", "", "manage:store_data", 204},
	{"PUT", demoKeys + "/KeyOne", `{"stringValue":"v"}`, "manage:store_data", 200},
	{"POST", demoKeys + "/KeyOne", `{"stringValue":"v"}`, "manage:store_data", 201},
	{"POST", demoKeys + "/KeyOne/confirmations/C", "", "manage:store_data", 404},
	{"PATCH", demoKeys + "/KeyOne/confirmations/C", `{"ttl":60}`, "manage:store_data", 404},
	{"DELETE", demoKeys + "/KeyOne/confirmations/C", "", "manage:store_data", 404},
	{"DELETE", demoKeys + "/KeyOne", "", "manage:store_data", 204},
	{"DELETE", demoKeys, "", "manage:store_data", 204},
	{"DELETE", demo + "/partitions/DEFAULT_PARTITION", "", "manage:store_data", 204},
	{"DELETE", demo + "/partitions", "", "manage:store_data", 204},
	{"DELETE", demo, "", "manage:store manage:store_data", 204},
}

func TestScopesDecideWhatATokenMay(t *testing.T) {
	for _, scope := range []string{"", "read:store", "manage:store", "manage:store_data", "read:store_metrics"} {
		c := one(t)
		held := "[]"
		if scope != "" {
			held = `["` + scope + `"]`
		}
		c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-one", `{"scopes":`+held+`}`)
		for _, o := range operations {
			want := http.StatusForbidden
			if o.scopes == "" || scope != "" && strings.Contains(" "+o.scopes+" ", " "+scope+" ") {
				want = o.status
			}
			if got := c.do(o.method, o.target, o.body); got.status != want {
				t.Errorf("scope %q: %s %s: the answer is %d %s, want %d", scope, o.method, o.target, got.status, got.body, want)
			}
		}
	}
}

func TestRightsThatAreTakenAreGoneAtOnce(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodGet, demoKeys, "")
	got := c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-one", `{"scopes":["read:store"]}`)
	if strings.Contains(got.body, "secret-one") {
		t.Errorf("the answer contains the secret: %s", got.body)
	}
	c.must(http.StatusForbidden, http.MethodGet, demoKeys, "")
	c.must(http.StatusOK, http.MethodGet, east+prod, "")
	c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-one", `{"scopes":["manage:store_data"]}`)
	c.must(http.StatusOK, http.MethodGet, demoKeys, "")
}

func TestTokenReachesItsOrganizationAndThoseBelow(t *testing.T) {
	e := start(t, emulator.Options{})
	stores := func(org, env string) string {
		return east + "/api/v1/organizations/" + org + "/environments/" + env + "/stores"
	}
	for name, reach := range map[string]map[string]int{
		"one":   {"org-root/env-prod": 200, "org-root/env-sandbox": 200, "org-sub/env-sub": 200, "org-other/env-other": 403, "org-none/env-prod": 403},
		"sub":   {"org-root/env-prod": 403, "org-sub/env-sub": 200, "org-other/env-other": 403},
		"other": {"org-root/env-prod": 403, "org-sub/env-sub": 403, "org-other/env-other": 200},
	} {
		c := as(t, e, "us", name)
		for place, want := range reach {
			org, env, _ := strings.Cut(place, "/")
			c.must(want, http.MethodGet, stores(org, env), "")
			c.must(want, http.MethodGet, "/us/api/v1/organizations/"+org+anHour, "")
			c.must(want, http.MethodGet, "/us/accounts/api/organizations/"+org+"/environments", "")
			c.must(want, http.MethodGet, "/us/accounts/api/organizations/"+org, "")
		}
	}
	one(t, "foreign-organization=404").must(http.StatusNotFound, http.MethodGet, stores("org-other", "env-other"), "")
}

func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	c := one(t)
	r := httptest.NewRequest(http.MethodGet, demo, nil)
	r.Header.Add("Authorization", "Bearer "+c.token)
	r.Header.Add("Authorization", "Bearer "+c.token)
	c.want(c.send(r), http.StatusBadRequest)
}

func TestRequestWithoutAGoodTokenIsUnauthorized(t *testing.T) {
	c := one(t)
	good := c.token
	c.token = ""
	for name, row := range map[string]struct {
		authorization string
		status        int
	}{
		"none":                   {"", 401},
		"unknown":                {"Bearer 11111111-2222-3333-4444-555555555555", 401},
		"empty":                  {"Bearer ", 401},
		"scheme without a token": {"Bearer", 401},
		"Basic":                  {"Basic " + base64.StdEncoding.EncodeToString([]byte("app-one:secret-one")), 401},
		"longer":                 {"Bearer " + good + "x", 401},
		"lower case":             {"bearer " + good, 200},
		"upper case":             {"BEARER " + good, 200},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if row.authorization != "" {
				headers = []string{"Authorization", row.authorization}
			}
			for _, target := range []string{east + prod, "/us/accounts/api/me", "/us/api/v1/organizations/org-root" + anHour} {
				got := c.must(row.status, http.MethodGet, target, "", headers...)
				if row.status == 401 && got.header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s: WWW-Authenticate is %q", target, got.header.Get("WWW-Authenticate"))
				}
			}
		})
	}
}
