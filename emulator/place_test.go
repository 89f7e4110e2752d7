package emulator_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"osgate/emulator"
)

// vendorsHosts are the BASE_URLs of the vendor's page in its order, with the plane they
// belong to and the region they name.
var vendorsHosts = []struct{ host, plane, region string }{
	{"object-store-us-east-1.anypoint.mulesoft.com", "us", "us-east-1"},
	{"object-store-us-east-2.anypoint.mulesoft.com", "us", "us-east-2"},
	{"object-store-us-west-1.anypoint.mulesoft.com", "us", "us-west-1"},
	{"object-store-us-west-2.anypoint.mulesoft.com", "us", "us-west-2"},
	{"object-store-ap-southeast-1.anypoint.mulesoft.com", "us", "ap-southeast-1"},
	{"object-store-ap-southeast-2.anypoint.mulesoft.com", "us", "ap-southeast-2"},
	{"object-store-ap-northeast-1.anypoint.mulesoft.com", "us", "ap-northeast-1"},
	{"object-store-ca-central-1.anypoint.mulesoft.com", "us", "ca-central-1"},
	{"object-store-eu-central-1.anypoint.mulesoft.com", "us", "eu-central-1"},
	{"object-store-eu-west-1.anypoint.mulesoft.com", "us", "eu-west-1"},
	{"object-store-eu-west-2.anypoint.mulesoft.com", "us", "eu-west-2"},
	{"object-store-sa-east-1.anypoint.mulesoft.com", "us", "sa-east-1"},
	{"object-store-us-gov-west-1.gov.anypoint.mulesoft.com", "gov", "us-gov-west-1"},
	{"object-store-eu-central-1.eu1.anypoint.mulesoft.com", "eu", "eu-central-1"},
	{"object-store-eu-west-1.eu1.anypoint.mulesoft.com", "eu", "eu-west-1"},
	{"object-store-ca-central-1.ca1.platform.mulesoft.com", "ca", "ca-central-1"},
	{"object-store-ap-northeast-1.jp1.platform.mulesoft.com", "jp", "ap-northeast-1"},
}

func TestEachHostAndItsPrefixReachTheSameData(t *testing.T) {
	e := start(t, emulator.Options{})
	key := prod + "/" + demoStore + "/partitions/DEFAULT_PARTITION/keys/where"
	clients := map[string]client{}
	for _, v := range vendorsHosts {
		if _, minted := clients[v.plane]; !minted {
			clients[v.plane] = as(t, e, v.plane, "one")
		}
		c := clients[v.plane]
		c.must(http.StatusCreated, http.MethodPut, key, `{"stringValue":"`+v.host+`"}`, "Host", strings.ToUpper(v.host)+":443")
	}
	for _, v := range vendorsHosts { // and by the host of the list of regions
		c := clients[v.plane]
		if got := c.must(http.StatusOK, http.MethodGet, key, "", "Host", strings.Replace(v.host, "store-", "store.", 1)); !strings.Contains(got.body, v.host) {
			t.Errorf("%s with a dot: the answer is %s", v.host, got.body)
		}
	}
	for _, v := range vendorsHosts {
		if got := clients[v.plane].value("/" + v.plane + "/" + v.region + key); got != v.host {
			t.Errorf("%s/%s: the value is the one stored through %q, want %q", v.plane, v.region, got, v.host)
		}
	}
}

func TestEachPlaneHasItsOwnHosts(t *testing.T) {
	e := start(t, emulator.Options{})
	for plane, hosts := range map[string][2]string{
		"us":  {"anypoint.mulesoft.com", "object-store-stats.anypoint.mulesoft.com"},
		"gov": {"gov.anypoint.mulesoft.com", "object-store-stats.gov.anypoint.mulesoft.com"},
		"eu":  {"eu1.anypoint.mulesoft.com", "object-store-stats.eu1.anypoint.mulesoft.com"},
		"ca":  {"ca1.platform.mulesoft.com", "object-store-stats.ca1.platform.mulesoft.com"},
		"jp":  {"jp1.platform.mulesoft.com", "object-store-stats.jp1.platform.mulesoft.com"},
	} {
		c := as(t, e, plane, "one")
		c.must(http.StatusOK, http.MethodGet, "/accounts/api/me", "", "Host", hosts[0])
		c.must(http.StatusOK, http.MethodGet, "/api/v1/organizations/org-root"+anHour, "", "Host", hosts[1])
	}
}

func TestTokenServesOnlyInThePlaneThatMintedIt(t *testing.T) {
	e := start(t, emulator.Options{})
	for _, minted := range []string{"us", "gov", "eu", "ca", "jp"} {
		c := as(t, e, minted, "one")
		for plane, region := range map[string]string{"us": "us-east-1", "gov": "us-gov-west-1", "eu": "eu-west-1", "ca": "ca-central-1", "jp": "ap-northeast-1"} {
			want := http.StatusUnauthorized
			if plane == minted {
				want = http.StatusOK
			}
			c.must(want, http.MethodGet, "/"+plane+"/"+region+prod, "")
			c.must(want, http.MethodGet, "/"+plane+"/accounts/api/me", "")
			c.must(want, http.MethodGet, "/"+plane+"/api/v1/organizations/org-root"+anHour, "")
		}
	}
}

func TestPathOfNoServiceIsNotFound(t *testing.T) {
	c := one(t)
	us := "object-store-us-east-1.anypoint.mulesoft.com"
	for _, at := range []struct{ name, host, target string }{
		{"no place", "localhost", "/"},
		{"no plane", "localhost", "/mars/us-east-1" + prod},
		{"region of another plane", "localhost", "/eu/us-east-1" + prod},
		{"no prefix", "localhost", prod},
		{"no version", "localhost", east + "/organizations/org-root/regions"},
		{"doubled version", "localhost", east + "/api/v1" + prod},
		{"doubled slash", "localhost", east + "/api/v1//organizations/org-root/regions"},
		{"prefix below a host", us, east + prod},
		{"accounts on a region's host", us, "/accounts/api/me"},
		{"stores on the stats host", "object-store-stats.anypoint.mulesoft.com", prod},
		{"odd number of segments", "localhost", demoKeys + "/KeyOne/confirmations"},
		{"too long", "localhost", demoKeys + "/KeyOne/confirmations/a/b"},
		{"other word", "localhost", east + "/api/v1/organizations/org-root/env/env-prod/stores"},
		{"accounts without a path", "localhost", "/us/accounts/"},
		{"accounts path unknown", "localhost", "/us/accounts/api/v2/organizations"},
		{"doubled slash in accounts", "localhost", "/us/accounts//api/me"},
		{"stats path unknown", "localhost", "/us/api/v1/organizations/org-root/stores/x" + anHour},
	} {
		t.Run(at.name, func(t *testing.T) {
			c.must(http.StatusNotFound, http.MethodGet, at.target, "", "Host", at.host)
		})
	}
}

// A base URL that ends in a slash makes empty segments at the beginning of a path. The
// vendor's page has such a command for a token.
func TestEmptySegmentsInFrontAreLeftOutWhereChosen(t *testing.T) {
	const none, accounts, all = "none", "accounts", "all"
	for _, at := range []struct {
		host, target string
		served       []string // the choices with this result
	}{
		{"localhost", "//us/accounts/api/me", []string{accounts, all}},
		{"localhost", "/us//accounts/api/me", []string{accounts, all}},
		{"anypoint.mulesoft.com", "///accounts/api/me", []string{accounts, all}},
		{"localhost", "/us/us-east-1/" + prod, []string{all}},
		{"localhost", "//us/us-east-1" + prod, []string{all}},
		{"localhost", "/us//api/v1/organizations/org-root" + anHour, []string{all}},
		{"object-store-us-east-1.anypoint.mulesoft.com", "/" + prod, []string{all}},
		{"localhost", "//us//nowhere/x", nil},
		{"localhost", "/us/accounts//api/me", nil},
	} {
		for _, choice := range []string{none, accounts, all} {
			c := one(t, "empty-segments="+choice)
			want := http.StatusNotFound
			if slices.Contains(at.served, choice) {
				want = http.StatusOK
			}
			r := httptest.NewRequest(http.MethodGet, at.target, nil)
			r.Host = at.host
			r.Header.Set("Authorization", "Bearer "+c.token)
			w := httptest.NewRecorder()
			c.e.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s: %s at %s: %d, want %d", choice, at.target, at.host, w.Code, want)
			}
		}
	}
}

func TestMethodsThatAPathDoesNotHaveAreNotAllowed(t *testing.T) {
	c := one(t)
	for target, method := range map[string]string{
		east + "/api/v1/organizations/org-root/regions": http.MethodPost,
		east + prod:                     http.MethodPost,
		demo:                            http.MethodPost,
		demo + "/partitions":            http.MethodPut,
		demo + "/partitions/P":          http.MethodPut,
		demoKeys:                        http.MethodHead,
		demoKeys + "/K":                 http.MethodPatch,
		demoKeys + "/K/confirmations/C": http.MethodGet,
		"/us/accounts/api/me":           http.MethodDelete,
		"/us/api/v1/organizations/o":    http.MethodDelete,
	} {
		c.must(http.StatusMethodNotAllowed, method, target, "")
	}
}

func TestObjectsPathOfThePageIsNotImplemented(t *testing.T) {
	one(t).must(http.StatusNotImplemented, http.MethodGet, demo+"/objects", "")
}

// The url is the page's: http, and a dot where the table of hosts has a dash.
func TestRegionsAreThePlanesInTheDocumentedForm(t *testing.T) {
	type region struct{ ID, Name, URL string }
	e := start(t, emulator.Options{})
	us := decode[[]region](t, as(t, e, "us", "one").get("/us/eu-west-1/api/v1/organizations/org-root/regions"))
	if len(us) != 12 || us[0] != (region{"us-east-1", "US East (N. Virginia)", "http://object-store.us-east-1.anypoint.mulesoft.com"}) {
		t.Errorf("us: the list has %d regions, the first is %+v", len(us), us[0])
	}
	jp := decode[[]region](t, as(t, e, "jp", "one").get("/jp/ap-northeast-1/api/v1/organizations/org-root/regions"))
	if len(jp) != 1 || jp[0].URL != "http://object-store.ap-northeast-1.jp1.platform.mulesoft.com" {
		t.Errorf("jp: the answer is %+v", jp)
	}
	chosen := decode[[]region](t, one(t, "region-url=table").get("/us/us-east-1/api/v1/organizations/org-root/regions"))
	if chosen[0].URL != "https://object-store-us-east-1.anypoint.mulesoft.com" {
		t.Errorf("region-url=table: the url is %q", chosen[0].URL)
	}
}
